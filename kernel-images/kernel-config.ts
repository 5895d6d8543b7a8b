/**
 * A kernel's configuration, as `/boot/config-VERSION` has it.
 *
 * Source: `Documentation/kbuild/kconfig.rst`; lines are `CONFIG_X=y`, `CONFIG_X="text"` or `# CONFIG_X is not set`.
 */

/** The options of a kernel. Options that are off are absent. */
export class KernelConfig {
  readonly #options: ReadonlyMap<string, string>;

  constructor(text: string) {
    const options = new Map<string, string>();
    for (const match of text.matchAll(/^CONFIG_(\w+)=(.*)$/gm))
      options.set(match[1]!, match[2]!.replaceAll(/^"|"$/g, ''));
    this.#options = options;
  }

  /** The value of an option, name without `CONFIG_`; undefined when it is off. */
  get(name: string): string | undefined {
    return this.#options.get(name);
  }

  /** Whether an option is `y`. */
  isBuiltIn(name: string): boolean {
    return this.#options.get(name) === 'y';
  }

  /** The value of an integer option; 0 when it is off. */
  number(name: string): number {
    return Number(this.#options.get(name) ?? 0);
  }

  /** How many options are on. */
  get size(): number {
    return this.#options.size;
  }
}
