/** A Debian mirror of a few packages: dpkg-deb and xz make its files, a server on this host gives them out. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';

/** A package of the mirror: fields of its control file, and its files. */
export interface TestPackage {
  readonly control: Readonly<Record<string, string>>;
  readonly files: Readonly<Record<string, string | Buffer>>;
}

/** A mirror in a folder, unsigned. */
export class SmallMirror implements Disposable {
  /** Paths that were asked for, with the ranges that were wanted. */
  readonly requests: string[] = [];
  /** Stands in for the server's own answer when it returns true. */
  intercept: (request: IncomingMessage, response: ServerResponse) => boolean = () => false;
  url = '';
  readonly #folder: string;
  readonly #server = createServer((request, response) => this.#answer(request, response));

  constructor(folder: string) {
    this.#folder = folder;
  }

  async listen(): Promise<void> {
    await new Promise<void>(resolve => this.#server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** From now on nobody answers. */
  [Symbol.dispose](): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  /** Publishes packages in the suite `test`. */
  publish(packages: readonly TestPackage[], architecture = 'arm64'): void {
    const stanzas = packages.map(one => this.#buildPackage(one, architecture));
    const index = join(this.#folder, `www/dists/test/main/binary-${architecture}/Packages`);
    mkdirSync(dirname(index), { recursive: true });
    writeFileSync(index, stanzas.join('\n'));
    execFileSync('xz', ['-kf', index]);
    const xz = readFileSync(`${index}.xz`);
    const line = `${createHash('sha256').update(xz).digest('hex')} ${xz.length} main/binary-${architecture}/Packages.xz`;
    writeFileSync(join(this.#folder, 'www/dists/test/InRelease'), `Codename: test\nSHA256:\n ${line}\n`);
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { range } = request.headers;
    this.requests.push(range === undefined ? request.url! : `${request.url!} ${range}`);
    if (this.intercept(request, response)) return;
    const path = join(this.#folder, 'www', request.url!);
    if (!existsSync(path)) {
      response.writeHead(404).end();
      return;
    }
    const bytes = readFileSync(path);
    const start = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
    response.writeHead(start > 0 ? 206 : 200).end(bytes.subarray(start));
  }

  /** @returns its stanza in the index */
  #buildPackage({ control, files }: TestPackage, architecture: string): string {
    const root = join(this.#folder, 'root');
    rmSync(root, { recursive: true, force: true });
    mkdirSync(join(root, 'DEBIAN'), { recursive: true });
    const fields = { ...control, Architecture: architecture, Maintainer: 'x <x@y>', Description: 'x' };
    writeFileSync(join(root, 'DEBIAN/control'), stanza(fields));
    for (const [path, contents] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), contents);
    }
    const filename = `pool/${control['Package']!}_${control['Version']!}.deb`;
    const path = join(this.#folder, 'www', filename);
    mkdirSync(dirname(path), { recursive: true });
    execFileSync('dpkg-deb', ['--root-owner-group', '-Znone', '--build', root, path], { stdio: 'ignore' });
    const SHA256 = createHash('sha256').update(readFileSync(path)).digest('hex');
    return stanza({ ...control, Filename: filename, Size: String(statSync(path).size), SHA256 });
  }
}

function stanza(fields: Readonly<Record<string, string>>): string {
  return Object.entries(fields)
    .map(([key, value]) => `${key}: ${value}\n`)
    .join('');
}
