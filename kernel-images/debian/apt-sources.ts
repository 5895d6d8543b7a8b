/**
 * What apt knows about this machine's Debian mirrors: archives, proxies and login data.
 *
 * Sources: `sources.list(5)` "ONE-LINE-STYLE FORMAT" and "DEB822-STYLE FORMAT"; `apt.conf(5)` "THE ACQUIRE GROUP";
 * `apt_auth.conf(5)`.
 * Not modelled: transports other than http and https (cdrom, mirror+file and the like are skipped).
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** One archive of a sources file. */
export interface AptSource {
  /** Without a slash at the end. */
  readonly uri: string;
  readonly suites: readonly string[];
  readonly components: readonly string[];
  /** Keyring file of `Signed-By`, when it names a file. */
  readonly signedBy: string | undefined;
}

/** Reads the `deb` entries of one-line-style text. */
export function parseOneLineSources(text: string): AptSource[] {
  const sources: AptSource[] = [];
  for (const line of text.split('\n')) {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)((?:\s+[^\s#]+)*)/.exec(line);
    if (match === null) continue;
    const signedBy = /signed-by=(\S+)/i.exec(match[1] ?? '')?.[1];
    sources.push(makeSource(match[2]!, [match[3]!], words(match[4]), signedBy));
  }
  return sources;
}

/** Reads the enabled `deb` stanzas of deb822-style text. */
export function parseDeb822Sources(text: string): AptSource[] {
  return parseStanzas(text)
    .filter(
      stanza => words(stanza.get('types')).includes('deb') && !/^(no|false|0)$/i.test(stanza.get('enabled') ?? ''),
    )
    .flatMap(stanza =>
      words(stanza.get('uris')).map(uri =>
        makeSource(uri, words(stanza.get('suites')), words(stanza.get('components')), stanza.get('signed-by')),
      ),
    );
}

function makeSource(uri: string, suites: string[], components: string[], signedBy: string | undefined): AptSource {
  const keyring = signedBy?.trim();
  return {
    uri: uri.replace(/\/+$/, ''),
    suites,
    components,
    signedBy: keyring?.startsWith('/') === true && !keyring.includes('\n') ? keyring : undefined,
  };
}

function words(text: string | undefined): string[] {
  return (text ?? '').split(/\s+/).filter(word => word !== '');
}

/** Splits control-file text into stanzas of lower-cased field names; comment lines vanish, continuation lines are joined by newlines. */
export function parseStanzas(text: string): Map<string, string>[] {
  return text
    .replaceAll(/^#.*\n?/gm, '')
    .split(/\n\s*\n/)
    .map(parseStanza)
    .filter(stanza => stanza.size > 0);
}

/** Reads one control-file stanza. */
export function parseStanza(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const match of text.matchAll(/^([^\s:]+):[ \t]*(.*(?:\n[ \t].*)*)/gm))
    fields.set(match[1]!.toLowerCase(), match[2]!);
  return fields;
}

/** Reads all sources files below `etcApt` (`/etc/apt`); a folder that does not exist has none. */
export function readAptSources(etcApt = '/etc/apt'): AptSource[] {
  const main = join(etcApt, 'sources.list');
  const parts = join(etcApt, 'sources.list.d');
  const names = existsSync(parts) ? readdirSync(parts).sort() : [];
  return [
    ...(existsSync(main) ? parseOneLineSources(readFileSync(main, 'utf8')) : []),
    ...names
      .filter(name => name.endsWith('.list'))
      .flatMap(name => parseOneLineSources(readFileSync(join(parts, name), 'utf8'))),
    ...names
      .filter(name => name.endsWith('.sources'))
      .flatMap(name => parseDeb822Sources(readFileSync(join(parts, name), 'utf8'))),
  ];
}

/** How requests travel: apt's proxies and logins, and the environment's proxies where apt has none. */
export interface Transport {
  /** In the form that Node's `proxyEnv` takes. */
  readonly proxyEnv: Readonly<Record<string, string>>;
  readonly logins: readonly Login[];
}

/** A line of `auth.conf`. */
export interface Login {
  /** Host, with optional port and path prefix. */
  readonly machine: string;
  readonly login: string;
  readonly password: string;
}

/** Reads proxies from `apt-config dump` (when apt is there) and the environment, and logins from auth.conf. */
export function readTransport(etcApt = '/etc/apt'): Transport {
  const proxyEnv: Record<string, string> = {};
  for (const name of ['http_proxy', 'https_proxy', 'no_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY']) {
    const value = process.env[name];
    if (value !== undefined && value !== '') proxyEnv[name.toLowerCase()] = value;
  }
  return { proxyEnv: { ...proxyEnv, ...parseAptProxies(aptConfigDump()) }, logins: readLogins(etcApt) };
}

function aptConfigDump(): string {
  try {
    return execFileSync('apt-config', ['dump'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch (error) {
    // No apt on this host: then there is nothing that it could tell.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
    throw error;
  }
}

/** Takes `Acquire::http::Proxy` and its like from the text of `apt-config dump`. `DIRECT` is a host without proxy. */
export function parseAptProxies(dump: string): Record<string, string> {
  const proxies: Record<string, string> = {};
  const direct: string[] = [];
  for (const match of dump.matchAll(/^Acquire::(https?)::Proxy(?:::(\S+))? "([^"]*)";/gim)) {
    const [, scheme, host, value] = match;
    if (value === '') continue;
    if (value === 'DIRECT') direct.push(host ?? '*');
    else if (host === undefined) proxies[`${scheme!.toLowerCase()}_proxy`] = value!;
  }
  // apt uses the http proxy for https too.
  if (proxies['http_proxy'] !== undefined) proxies['https_proxy'] ??= proxies['http_proxy'];
  if (direct.length > 0) proxies['no_proxy'] = direct.join(',');
  return proxies;
}

function readLogins(etcApt: string): Login[] {
  const parts = join(etcApt, 'auth.conf.d');
  const files = [
    join(etcApt, 'auth.conf'),
    ...(existsSync(parts) ? readdirSync(parts).map(name => join(parts, name)) : []),
  ];
  return files.filter(file => existsSync(file)).flatMap(file => parseLogins(readFileSync(file, 'utf8')));
}

/** Reads netrc-style `machine … login … password …` entries. */
export function parseLogins(text: string): Login[] {
  return [...text.matchAll(/machine\s+(\S+)\s+login\s+(\S+)\s+password\s+(\S+)/g)].map(match => ({
    machine: match[1]!.replace(/^https?:\/\//, ''),
    login: match[2]!,
    password: match[3]!,
  }));
}

/** Finds the login for a URL: the entry with the longest machine that its host and path begin with. */
export function findLogin(logins: readonly Login[], url: URL): Login | undefined {
  const place = `${url.host}${url.pathname}`;
  return logins
    .filter(
      ({ machine }) =>
        machine === url.host || machine === url.hostname || (machine.includes('/') && place.startsWith(machine)),
    )
    .sort((a, b) => b.machine.length - a.machine.length)[0];
}
