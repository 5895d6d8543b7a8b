/**
 * kdump.conf: where a capture kernel saves the dump, how, and what it does before and after.
 *
 * Source: kdump.conf(5) of kexec-tools in Fedora. The lab's capture initramfs obeys `path`, the targets, `core_collector`,
 * the actions and the hooks; directives that build an initramfs are read and checked only.
 */
import { FormatError } from './formats/errors.ts';

/** Where the dump goes. */
export type KdumpTarget =
  | { readonly kind: 'root' }
  | { readonly kind: 'raw'; readonly device: string }
  | { readonly kind: 'filesystem'; readonly type: string; readonly device: string }
  | { readonly kind: 'nfs'; readonly export: string }
  | { readonly kind: 'ssh'; readonly destination: string; readonly key: string };

/** What happens when saving fails. */
export const FAILURE_ACTIONS = ['reboot', 'halt', 'poweroff', 'shell', 'dump_to_rootfs'] as const;
export type FailureAction = (typeof FAILURE_ACTIONS)[number];
/** What happens when it succeeds. */
export const FINAL_ACTIONS = ['reboot', 'halt', 'poweroff'] as const;
export type FinalAction = (typeof FINAL_ACTIONS)[number];

/** A checked configuration. */
export interface KdumpConf {
  readonly target: KdumpTarget;
  /** Folder on the target. */
  readonly path: string;
  /** The program that saves the dump, and its options. */
  readonly coreCollector: string;
  readonly failureAction: FailureAction;
  readonly finalAction: FinalAction;
  readonly kdumpPre: string | undefined;
  readonly kdumpPost: string | undefined;
  readonly extraBins: readonly string[];
  readonly extraModules: readonly string[];
  readonly autoResetCrashkernel: boolean;
  /** Directives that are right but mean nothing here, as written. */
  readonly unused: readonly string[];
  /** One line each. */
  readonly warnings: readonly string[];
}

const FILE_SYSTEMS = new Set(['ext2', 'ext3', 'ext4', 'minix', 'btrfs', 'xfs', 'virtiofs']);
const UNUSED = new Set([
  'dracut_args',
  'fence_kdump_args',
  'fence_kdump_nodes',
  'force_rebuild',
  'force_no_rebuild',
  'override_resettable',
  'kdump_emergency',
]);
const OBSOLETE = new Set(['net', 'options', 'link_delay', 'disk_timeout', 'debug_mem_level', 'blacklist', 'interface']);
const DEFAULT_PATH = '/var/crash';
const DEFAULT_SSH_KEY = '/root/.ssh/kdump_id_rsa';
const DEFAULT_COLLECTOR = 'makedumpfile -l --message-level 7 -d 31';

interface Directive {
  readonly name: string;
  readonly value: string;
  /** Counted from 1. */
  readonly line: number;
}

/**
 * Reads and checks a kdump.conf.
 * @param file its name, for messages
 * @throws FormatError naming line and directive
 */
export function parseKdumpConf(text: string, file = 'kdump.conf'): KdumpConf {
  const directives = readDirectives(text, file);
  checkSwitches(directives, file);
  const warnings: string[] = [];
  const one = (name: string): string | undefined => single(directives, name, file)?.value;
  const target = findTarget(directives, file);
  const coreCollector = one('core_collector') ?? defaultCollector(target);
  checkCollector(target, coreCollector, file);
  const path = one('path') ?? DEFAULT_PATH;
  if (!path.startsWith('/')) warnings.push(`path ${path} is taken as /${path}`);
  if (target.kind === 'raw' && one('path') !== undefined) warnings.push('path means nothing on a raw target');
  return {
    target,
    path: path.startsWith('/') ? path : `/${path}`,
    coreCollector,
    failureAction: failureAction(directives, file, warnings),
    finalAction: choice(single(directives, 'final_action', file), FINAL_ACTIONS, file) ?? 'reboot',
    kdumpPre: one('kdump_pre'),
    kdumpPost: one('kdump_post'),
    extraBins: words(directives, 'extra_bins'),
    extraModules: words(directives, 'extra_modules'),
    autoResetCrashkernel: choice(single(directives, 'auto_reset_crashkernel', file), ['yes', 'no'], file) !== 'no',
    unused: directives.filter(({ name }) => UNUSED.has(name)).map(({ name, value }) => `${name} ${value}`),
    warnings,
  };
}

function readDirectives(text: string, file: string): Directive[] {
  const directives: Directive[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    const line = index + 1;
    const content = raw.replace(/(^|\s)#.*$/, '').trim();
    if (content === '') continue;
    const [, name = '', value = ''] = /^(\S+)\s*(.*)$/.exec(content) ?? [];
    if (OBSOLETE.has(name)) throw wrong(file, line, `${name} is no longer a directive`);
    if (!isKnown(name)) throw wrong(file, line, `${name} is no directive of kdump.conf(5)`);
    if (value === '') throw wrong(file, line, `${name} needs a value`);
    directives.push({ name, value: unquoted(value), line });
  }
  return directives;
}

/** The manual's examples have a command in quotes. */
function unquoted(value: string): string {
  return /^"([^"]*)"$/.exec(value)?.[1] ?? value;
}

/** Directives that are on or off, which only whoever builds an initramfs minds. */
const SWITCHES = ['force_rebuild', 'force_no_rebuild', 'override_resettable'] as const;

function checkSwitches(directives: readonly Directive[], file: string): void {
  const [rebuild, noRebuild] = SWITCHES.map(name => {
    const directive = single(directives, name, file);
    return choice(directive, ['0', '1'], file) === '1' ? directive : undefined;
  });
  if (rebuild !== undefined && noRebuild !== undefined)
    throw wrong(file, noRebuild.line, 'force_rebuild and force_no_rebuild cannot both be 1');
}

const TARGETS = new Set([...FILE_SYSTEMS, 'raw', 'nfs', 'ssh']);
const OTHERS = new Set(
  'path core_collector sshkey default failure_action final_action kdump_pre kdump_post extra_bins extra_modules auto_reset_crashkernel'.split(
    ' ',
  ),
);

function isKnown(name: string): boolean {
  return TARGETS.has(name) || OTHERS.has(name) || UNUSED.has(name);
}

function single(directives: readonly Directive[], name: string, file: string): Directive | undefined {
  const [first, second] = directives.filter(directive => directive.name === name);
  if (second !== undefined) throw wrong(file, second.line, `${name} is given twice`);
  return first;
}

function words(directives: readonly Directive[], name: string): string[] {
  return directives.filter(directive => directive.name === name).flatMap(({ value }) => value.split(/\s+/));
}

function findTarget(directives: readonly Directive[], file: string): KdumpTarget {
  const [first, second] = directives.filter(({ name }) => TARGETS.has(name));
  if (second !== undefined)
    throw wrong(file, second.line, `${second.name}: the dump has a target already, ${first!.name}`);
  const key = single(directives, 'sshkey', file);
  if (key !== undefined && first?.name !== 'ssh') throw wrong(file, key.line, 'sshkey without ssh');
  if (first === undefined) return { kind: 'root' };
  const parse = TARGET_PARSERS[first.name];
  if (parse !== undefined) return parse(first, file, key?.value);
  const device = first.name === 'virtiofs' ? first.value : checkDevice(first, file);
  return { kind: 'filesystem', type: first.name, device };
}

/** Targets that are no file system. */
const TARGET_PARSERS: Readonly<
  Record<string, (directive: Directive, file: string, sshKey: string | undefined) => KdumpTarget>
> = {
  raw: (directive, file) => ({ kind: 'raw', device: checkDevice(directive, file) }),
  nfs({ value, line }, file) {
    if (!/^(\[.+\]|[^:]+):\/.*$/.test(value)) throw wrong(file, line, `${value} is no HOST:/EXPORT`);
    return { kind: 'nfs', export: value };
  },
  ssh({ value, line }, file, sshKey = DEFAULT_SSH_KEY) {
    if (!/^[^@\s]+@[^@\s]+$/.test(value)) throw wrong(file, line, `${value} is no USER@HOST`);
    return { kind: 'ssh', destination: value, key: sshKey };
  },
};

function checkDevice({ value, line }: Directive, file: string): string {
  if (/^(\/dev\/\S+|(LABEL|UUID|PARTUUID|PARTLABEL)=\S+)$/.test(value)) return value;
  throw wrong(file, line, `${value} is no device: /dev/…, UUID=… or LABEL=…`);
}

/** A stream cannot be written out of order: makedumpfile has to flatten it. */
function defaultCollector({ kind }: KdumpTarget): string {
  return kind === 'ssh' || kind === 'raw'
    ? DEFAULT_COLLECTOR.replace('makedumpfile', 'makedumpfile -F')
    : DEFAULT_COLLECTOR;
}

function checkCollector({ kind }: KdumpTarget, collector: string, file: string): void {
  const [program = '', ...options] = collector.split(/\s+/);
  if ((kind !== 'ssh' && kind !== 'raw') || !program.endsWith('makedumpfile')) return;
  if (options.some(option => /^-[a-zA-Z]*F/.test(option))) return;
  throw new FormatError(`core_collector: a target of kind ${kind} needs makedumpfile -F`, { file, found: collector });
}

/** `default` is the old name of `failure_action`. */
function failureAction(directives: readonly Directive[], file: string, warnings: string[]): FailureAction {
  const current = single(directives, 'failure_action', file);
  const old = single(directives, 'default', file);
  if (current !== undefined && old !== undefined)
    throw wrong(file, old.line, 'default is the old name of failure_action: give one of them');
  if (old !== undefined) warnings.push('default is the old name of failure_action');
  return choice(current ?? old, FAILURE_ACTIONS, file) ?? 'reboot';
}

function choice<T extends string>(directive: Directive | undefined, values: readonly T[], file: string): T | undefined {
  if (directive === undefined) return undefined;
  const found = values.find(value => value === directive.value);
  if (found !== undefined) return found;
  throw wrong(file, directive.line, `${directive.name} is one of ${values.join(', ')}`, directive.value);
}

function wrong(file: string, line: number, reason: string, found?: string): FormatError {
  return new FormatError(`line ${line}: ${reason}`, { file, found });
}
