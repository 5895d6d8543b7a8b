/** Debian's sshd and nfs-ganesha as the servers that dumps go to, without rights beyond those of the test. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { once } from 'node:events';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const SSHD = '/usr/sbin/sshd';
const GANESHA = '/usr/bin/ganesha.nfsd';

export const hasSshd = spawnSync(SSHD, ['-?']).error === undefined;
/** Its file system backend opens files by handle, which root may where a container has not taken that right away. */
export const hasNfsServer = spawnSync(GANESHA, ['-v']).error === undefined && mayOpenByHandle();

/** capabilities(7): CAP_DAC_READ_SEARCH. */
function mayOpenByHandle(): boolean {
  const CAP_DAC_READ_SEARCH = 2n;
  const [, effective = '0'] = /^CapEff:\s*([\da-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return ((BigInt(`0x${effective}`) >> CAP_DAC_READ_SEARCH) & 1n) === 1n;
}

/** A running server; disposing of it waits until it has let go of its files. */
export interface DumpServer extends AsyncDisposable {
  readonly port: number;
}

/**
 * Starts sshd for the user who runs the test.
 * @param folder gets `kdump_id_rsa`, the key that is let in, and `known_hosts` with the server's key as that of `name`
 */
export async function startSshServer(folder: string, name: string): Promise<DumpServer & { readonly user: string }> {
  for (const key of ['host_key', 'kdump_id_rsa'])
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, key)]);
  copyFileSync(join(folder, 'kdump_id_rsa.pub'), join(folder, 'authorized_keys'));
  writeFileSync(join(folder, 'known_hosts'), `${name} ${readFileSync(join(folder, 'host_key.pub'), 'utf8')}`);
  const port = await freePort();
  const options = {
    Port: port,
    ListenAddress: '127.0.0.1',
    HostKey: join(folder, 'host_key'),
    AuthorizedKeysFile: join(folder, 'authorized_keys'),
    PidFile: 'none',
    StrictModes: 'no',
    UsePAM: 'no',
    PermitRootLogin: 'yes',
    Subsystem: 'sftp internal-sftp',
  };
  // Where it separates its privileges; packages make it when a service starts.
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true });
  const args = Object.entries(options).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
  const server = await start(SSHD, ['-D', '-e', '-f', '/dev/null', ...args], port);
  return { ...server, user: userInfo().username };
}

/** Starts an NFS version 4 server of one folder, `/export`. */
export async function startNfsServer(folder: string, exported: string): Promise<DumpServer> {
  const port = await freePort();
  const config = join(folder, 'ganesha.conf');
  const recovery = join(folder, 'recovery');
  writeFileSync(
    config,
    `NFS_CORE_PARAM { NFS_Port = ${port}; Bind_addr = 127.0.0.1; Protocols = 4; Enable_NLM = false; Enable_RQUOTA = false; }
NFSV4 { Graceless = true; RecoveryBackend = fs; RecoveryRoot = ${recovery}; }
EXPORT {
  Export_Id = 1; Path = ${exported}; Pseudo = /export; Access_Type = RW; Squash = No_Root_Squash; SecType = sys;
  Protocols = 4; Transports = TCP; FSAL { Name = VFS; }
}
`,
  );
  mkdirSync('/var/run/ganesha', { recursive: true });
  return await start(GANESHA, ['-F', '-f', config, '-L', join(folder, 'ganesha.log'), '-p', join(folder, 'pid')], port);
}

/** A port of the host that nobody has. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function start(program: string, args: readonly string[], port: number): Promise<DumpServer> {
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let complaint = '';
  child.stderr.on('data', (bytes: Buffer) => (complaint += bytes.toString()));
  while (!(await answers(port))) {
    if (child.exitCode !== null) throw new Error(`${program} exited with ${child.exitCode}: ${complaint}`);
    await sleep(100);
  }
  const ended = once(child, 'exit');
  return {
    port,
    async [Symbol.asyncDispose]() {
      child.kill();
      await ended;
    },
  };
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  const answer = await Promise.race([
    once(socket, 'connect').then(() => true),
    once(socket, 'error').then(() => false),
  ]).catch(() => false);
  socket.destroy();
  return answer;
}
