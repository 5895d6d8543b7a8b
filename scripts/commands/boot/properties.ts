/** `type,name=value,…`: the form of most of QEMU's option values. */
import { UsageError } from '../../../capture/formats/errors.ts';

/** `name,property=value,…` */
export interface TypeWithProperties {
  readonly type: string;
  /** Names with dashes. */
  readonly properties: Readonly<Record<string, string>>;
}

/** Splits `type,name=value,flag`; a doubled comma is a comma. `implied` names the property that may come first without its name. */
export function splitProperties(text: string, implied: string): TypeWithProperties {
  const parts = splitParts(text).map(part => part.replaceAll(',,', ','));
  const properties: Record<string, string> = {};
  for (const [index, part] of parts.entries()) {
    const equals = part.indexOf('=');
    if (equals === -1 && index === 0) properties[implied] = part;
    else if (equals === -1) properties[dashed(part)] = 'on';
    else properties[dashed(part.slice(0, equals))] = part.slice(equals + 1);
  }
  const { [implied]: type = '', ...rest } = properties;
  return { type, properties: rest };
}

/** The parts between commas; doubled commas do not separate, and stay. */
export function splitParts(text: string): string[] {
  return text.split(/(?<!,),(?!,)/);
}

function dashed(name: string): string {
  return name.replaceAll('_', '-');
}

/** @throws UsageError that names the first property which is not among the known ones */
export function requireKnown(
  option: string,
  properties: TypeWithProperties['properties'],
  known: ReadonlySet<string>,
): void {
  for (const name of Object.keys(properties)) {
    if (!known.has(name)) {
      throw new UsageError(`${option}: unknown property ${name}; known are ${[...known].join(', ')}`);
    }
  }
}

/** @throws UsageError */
export function isOn(value: string | undefined, what: string): boolean {
  if (value === undefined) return false;
  if (['on', 'true', 'yes', 'y'].includes(value)) return true;
  if (['off', 'false', 'no', 'n', 'auto'].includes(value)) return false;
  throw new UsageError(`${what}=${value}: must be on or off`);
}
