/** The variables of `set`: their values, how they are shown, and what changing them does. */
import { UsageError } from '../../capture/formats/errors.ts';
import type { Session } from './session.ts';
import { parseAddress } from './numbers.ts';
import type { Refusal } from './numbers.ts';

interface Setting {
  readonly initial: string;
  /** The words it takes; a switch when not given. */
  readonly values?: readonly string[] | 'number' | 'text';
  /** Brings a word into the form that is kept. @throws UsageError */
  readonly normalise?: (session: Session, word: string) => string;
  readonly apply?: (session: Session, value: string) => void;
  /** What stands behind the name, when it is more than the value. */
  readonly show?: (session: Session, value: string) => string;
}

const SWITCH = ['on', 'off'] as const;

/** In the order of `set -v`. */
const SETTINGS: Readonly<Record<string, Setting>> = {
  scroll: {
    initial: 'off',
    values: ['on', 'off', 'less', 'more', 'CRASHPAGER'],
    show: (_session, value) => SCROLL_TEXTS[value] ?? value,
  },
  radix: {
    initial: '10',
    values: ['10', '16', 'dec', 'hex', 'decimal', 'hexadecimal'],
    apply: (session, value) => void (session.settings.radix = /^(?:16|hex)/.test(value) ? 16 : 10),
    show: ({ settings }) => (settings.radix === 16 ? '16 (hex)' : '10 (decimal)'),
  },
  refresh: { initial: 'on' },
  print_max: {
    initial: '256',
    values: 'number',
    apply: ({ gdb }, value) => void (gdb.print = { ...gdb.print, elements: Number(value) }),
    show: ({ gdb }) => String(gdb.print.elements),
  },
  print_array: {
    initial: 'off',
    apply: ({ gdb }, value) => void (gdb.print = { ...gdb.print, array: value === 'on' }),
    show: ({ gdb }) => (gdb.print.array ? 'on' : 'off'),
  },
  console: { initial: 'not set', values: 'text' },
  debug: {
    initial: '0',
    values: 'text',
    normalise: (_session, word) => (word === 'on' ? '1' : word === 'off' ? '0' : wholeNumber('debug', word)),
  },
  core: {
    initial: 'off',
    show: (_session, value) => `${value} (${value === 'on' ? '' : 'do NOT '}drop core on error message)`,
  },
  hash: { initial: 'on' },
  silent: { initial: 'on' },
  edit: { initial: 'vi', values: ['vi', 'emacs'] },
  namelist: { initial: '', values: [], show: ({ program }) => program.vmlinux?.source.name ?? '(the dump)' },
  dumpfile: { initial: '', values: [], show: ({ program }) => program.dump.path },
  unwind: { initial: 'off' },
  zero_excluded: { initial: 'off' },
  'null-stop': {
    initial: 'off',
    apply: ({ gdb }, value) => void (gdb.print = { ...gdb.print, nullStop: value === 'on' }),
    show: ({ gdb }) => (gdb.print.nullStop ? 'on' : 'off'),
  },
  gdb: { initial: 'off' },
  scope: {
    initial: '0',
    values: 'text',
    normalise: (session, word) => parseAddress(session, word, refused('scope')).toString(16),
    show: ({ program }, value) =>
      `${value} (${value === '0' ? 'not set' : (program.symbols.format(BigInt(`0x${value}`)) ?? value)})`,
  },
  offline: { initial: 'show', values: ['show', 'hide'] },
  redzone: { initial: 'on' },
  error: { initial: 'default', values: 'text' },
};

const SCROLL_TEXTS: Readonly<Record<string, string>> = {
  on: 'on (/usr/bin/less)',
  off: 'off (none)',
  less: 'on (/usr/bin/less)',
  more: 'on (/bin/more)',
  CRASHPAGER: 'on (CRASHPAGER)',
};

const SHORT_FORMS: Readonly<Record<string, readonly [name: string, value: string]>> = {
  hex: ['radix', '16'],
  dec: ['radix', '10'],
  vi: ['edit', 'vi'],
  emacs: ['edit', 'emacs'],
};

/** Names of all settings. */
export const SETTING_NAMES: readonly string[] = [...Object.keys(SETTINGS), ...Object.keys(SHORT_FORMS)];

/** The name of a setting and the value that a short form brings along; undefined when a word is none. */
export function findSetting(word: string): { readonly name: string; readonly value?: string } | undefined {
  const short = Object.hasOwn(SHORT_FORMS, word) ? SHORT_FORMS[word] : undefined;
  if (short !== undefined) return { name: short[0], value: short[1] };
  return Object.hasOwn(SETTINGS, word) ? { name: word } : undefined;
}

/** A setting's word. */
export function settingValue({ settings }: Session, name: string): string {
  return settings.variables.get(name) ?? SETTINGS[name]!.initial;
}

/** A setting as it is shown. */
export function settingText(session: Session, name: string): string {
  const value = settingValue(session, name);
  return SETTINGS[name]!.show?.(session, value) ?? value;
}

/** Where the list has other words than the single setting. */
const IN_LIST: Readonly<Record<string, (value: string) => string>> = {
  core: value => value,
  console: value => (value === 'not set' ? '(not assigned)' : value),
  radix: value => (/^(?:16|hex)/.test(value) ? '16 (hexadecimal)' : '10 (decimal)'),
};

/** All settings with their texts. */
export function allSettingTexts(session: Session): { readonly setting: string; readonly value: string }[] {
  return Object.keys(SETTINGS).map(name => ({
    setting: name,
    value: IN_LIST[name]?.(settingValue(session, name)) ?? settingText(session, name),
  }));
}

/** Changes a setting. @throws UsageError for a word that it does not take */
export function changeSetting(session: Session, name: string, word: string): void {
  const { values = SWITCH, normalise, apply } = SETTINGS[name]!;
  const value = normalise?.(session, word) ?? accepted(name, word, values);
  session.settings.variables.set(name, value);
  apply?.(session, value);
}

function accepted(name: string, word: string, values: readonly string[] | 'number' | 'text'): string {
  if (values === 'text') return word;
  if (values === 'number') return wholeNumber(name, word);
  if (values.includes(word)) return word;
  // A switch takes numbers, too.
  if (values === SWITCH && /^\d+$/.test(word)) return Number(word) === 0 ? 'off' : 'on';
  throw refused(name)(word);
}

function refused(name: string): Refusal {
  return word => new UsageError(`invalid command: set ${name} ${word}`);
}

function wholeNumber(name: string, word: string): string {
  if (!/^(?:\d{1,9}|0x[\da-f]{1,7})$/i.test(word)) throw refused(name)(word);
  return String(Number(word));
}
