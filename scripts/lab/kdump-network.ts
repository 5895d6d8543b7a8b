/**
 * Targets of a kdump.conf that lie behind a network: what the capture kernel needs to reach them.
 *
 * Source: kdump.conf(5) and kdumpctl(8) of kdump-utils: an ssh target wants a key without a passphrase and the server's key among those that
 * are known. Here the key, known_hosts and ssh_config may lie beside the configuration.
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, isAbsolute, join } from 'node:path';

import { UsageError } from '../../capture/formats/errors.ts';
import type { KdumpTarget } from '../../capture/kdump-conf.ts';
import { formatIpv4, type UserNetworkOptions } from '../../emulator/index.ts';
import type { ExtraFile, WantedProgram } from '../../kernel-images/initramfs/build.ts';
import type { KdumpNetwork } from '../../kernel-images/initramfs/settings.ts';
import type { Note } from './report.ts';

/** What goes into the initramfs, and what its init is told. */
export interface NetworkPlan {
  readonly network: KdumpNetwork;
  readonly programs: readonly WantedProgram[];
  readonly modules: readonly string[];
  readonly files: readonly ExtraFile[];
  readonly notes: readonly Note[];
}

/** A target behind the network. */
type NetworkTarget = KdumpTarget & { readonly kind: 'nfs' | 'ssh' };

/**
 * Plans the way to a target.
 * @param conf path of the configuration
 * @param user the network that the machine's card is plugged into
 * @throws UsageError when the key is missing, or the target is the guest itself
 */
export function planNetwork(
  target: NetworkTarget,
  collector: string,
  conf: string,
  user: UserNetworkOptions,
): NetworkPlan {
  refuseLoopback(target, user);
  const network = {
    address: formatIpv4(user.guest),
    mask: formatIpv4(user.subnet.mask),
    router: formatIpv4(user.host),
    remote: target.kind === 'nfs' ? target.export : target.destination,
  };
  const files = commonFiles(user);
  if (target.kind === 'nfs') return planNfs(network, files);
  const { options, notes, files: keys } = sshFiles(target.key, conf);
  const names = ['ssh', ...(/^scp(\s|$)/.test(collector) ? ['scp'] : [])];
  return {
    network: { ...network, sshOptions: options },
    programs: names.map(name => ({ package: 'openssh-client', path: `/bin/${name}` })),
    modules: ['virtio_net'],
    files: [...files, ...keys],
    notes,
  };
}

function refuseLoopback(target: NetworkTarget, { host }: UserNetworkOptions): void {
  const name = target.kind === 'nfs' ? target.export.replace(/:\/.*$/, '') : target.destination.replace(/^.*@/, '');
  if (name.startsWith('[')) throw new UsageError(`kdump.conf: ${target.kind} ${name}: the lab's network has no IPv6`);
  if (/^(localhost$|127\.)/.test(name))
    throw new UsageError(
      `kdump.conf: ${target.kind} ${name}: that is the guest itself; its name for this host is ${formatIpv4(host)}`,
    );
}

/** What glibc's resolver and ssh look for. */
function commonFiles({ nameServer }: UserNetworkOptions): readonly ExtraFile[] {
  return [
    textFile('/etc/passwd', 'root:x:0:0:root:/root:/bin/sh\n'),
    textFile('/etc/hosts', '127.0.0.1 localhost\n'),
    textFile('/etc/resolv.conf', `nameserver ${formatIpv4(nameServer)}\n`),
  ];
}

function planNfs(network: KdumpNetwork, files: readonly ExtraFile[]): NetworkPlan {
  // netconfig(5): which transports there are for remote procedure calls.
  const transports = textFile('/etc/netconfig', 'udp tpi_clts v inet udp - -\ntcp tpi_cots_ord v inet tcp - -\n');
  return {
    network,
    programs: [{ package: 'nfs-common', path: '/sbin/mount.nfs' }],
    modules: ['virtio_net', 'nfsv3', 'nfsv4'],
    files: [...files, transports],
    notes: [],
  };
}

const KNOWN_HOSTS = '/root/.ssh/known_hosts';

function sshFiles(key: string, conf: string): Pick<NetworkPlan, 'files' | 'notes'> & { readonly options: string } {
  const keyFile = findBeside(key, conf);
  if (keyFile === undefined)
    throw new UsageError(`kdump.conf: sshkey ${key}: no such file on this host, nor ${basename(key)} beside ${conf}`);
  const path = isAbsolute(key) ? key : `/${key}`;
  const folders = [dirname(conf), dirname(keyFile)];
  const known = folders.map(folder => join(folder, 'known_hosts')).find(path => existsSync(path));
  const config = join(dirname(conf), 'ssh_config');
  const checking = known === undefined ? 'accept-new' : 'yes';
  const note = {
    code: 'kdump-conf',
    text: `no known_hosts beside ${conf} or the key: whatever server answers is trusted`,
  };
  return {
    options: `-i ${path} -o BatchMode=yes -o StrictHostKeyChecking=${checking}`,
    files: [
      { path, bytes: readFileSync(keyFile), mode: 0o600 },
      ...(known === undefined ? [] : [{ path: KNOWN_HOSTS, bytes: readFileSync(known), mode: 0o600 }]),
      ...(existsSync(config) ? [{ path: '/etc/ssh/ssh_config', bytes: readFileSync(config), mode: 0o644 }] : []),
    ],
    notes: known === undefined ? [note] : [],
  };
}

function textFile(path: string, text: string): ExtraFile {
  return { path, bytes: Buffer.from(text), mode: 0o644 };
}

/** A file that a configuration names is a file of the host: where it says, or beside it. */
export function findBeside(name: string, conf: string): string | undefined {
  const folder = dirname(conf);
  const places = isAbsolute(name) ? [name, join(folder, basename(name))] : [join(folder, name)];
  return places.find(path => existsSync(path));
}
