/**
 * From a kdump.conf to what the lab's capture kernel does: its disk, its initramfs, its settings.
 *
 * Not modelled: file systems other than ext4, drop-in folders of hooks (pre.d, post.d), fence_kdump.
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, isAbsolute } from 'node:path';

import { asBuffer } from '../../capture/formats/bytes.ts';
import { UsageError } from '../../capture/formats/errors.ts';
import { parseKdumpConf, type KdumpConf } from '../../capture/kdump-conf.ts';
import type { UserNetworkOptions } from '../../emulator/index.ts';
import type { ExtraFile, WantedProgram } from '../../kernel-images/initramfs/build.ts';
import type { KdumpSettings } from '../../kernel-images/initramfs/settings.ts';
import { findBeside, type NetworkPlan, planNetwork } from './kdump-network.ts';
import type { Note } from './report.ts';

/** What the dump disk is made with. */
export type DumpDisk =
  { readonly kind: 'ext4'; readonly label?: string; readonly uuid?: string } | { readonly kind: 'raw' };

/** A configuration that the lab can obey. */
export interface KdumpPlan {
  readonly settings: KdumpSettings;
  readonly coreCollector: string;
  readonly disk: DumpDisk;
  /** Hooks, keys, and the like. */
  readonly files: readonly ExtraFile[];
  /** What a target behind the network needs. */
  readonly programs: readonly WantedProgram[];
  readonly networkModules: readonly string[];
  /** Programs of `extra_bins`, by the names under which they are called. */
  readonly extraBins: readonly string[];
  readonly extraModules: readonly string[];
  readonly notes: readonly Note[];
}

/**
 * Reads a configuration and plans what it asks for.
 * @param disk the guest's name of the dump disk, `/dev/vda`
 * @param user the network of the machine's card, for targets that want one
 * @throws FormatError, UsageError in one line, naming the directive
 */
export function readKdumpPlan(path: string, disk: string, user: UserNetworkOptions): KdumpPlan {
  if (!existsSync(path)) throw new UsageError(`--kdump-conf ${path}: no such file`);
  const conf = parseKdumpConf(readFileSync(path, 'utf8'), path);
  const pre = readHook(conf.kdumpPre, path);
  const post = readHook(conf.kdumpPost, path);
  const way = wayTo(conf, path, user);
  return {
    settings: {
      target: conf.target.kind === 'root' ? 'filesystem' : conf.target.kind,
      device: deviceOf(conf, disk),
      network: way.network,
      path: conf.path,
      failureAction: conf.failureAction,
      finalAction: conf.finalAction,
      pre: pre?.path ?? '',
      post: post?.path ?? '',
    },
    coreCollector: conf.coreCollector,
    disk: diskOf(conf, disk),
    files: [...[pre, post].filter(hook => hook !== undefined), ...way.files],
    programs: way.programs,
    networkModules: way.modules,
    extraBins: conf.extraBins,
    extraModules: conf.extraModules,
    notes: [
      ...way.notes,
      ...conf.warnings.map(text => ({ code: 'kdump-conf', text: `${path}: ${text}` })),
      ...conf.unused.map(text => ({ code: 'kdump-conf', text: `${path}: ${text}: without effect in the lab` })),
    ],
  };
}

/** The way to a disk needs nothing. */
const NO_NETWORK = { network: undefined, programs: [], modules: [], files: [], notes: [] } as const;

function wayTo(
  { target, coreCollector }: KdumpConf,
  path: string,
  user: UserNetworkOptions,
): NetworkPlan | typeof NO_NETWORK {
  const isRemote = target.kind === 'nfs' || target.kind === 'ssh';
  return isRemote ? planNetwork(target, coreCollector, path, user) : NO_NETWORK;
}

/** The directive's own words for a target that the lab's machine does not have. */
function refuse(directive: string): never {
  throw new UsageError(
    `kdump.conf: ${directive}: the lab's machine has one disk: ext4, raw, nfs and ssh targets are possible`,
  );
}

function deviceOf({ target }: KdumpConf, disk: string): string {
  switch (target.kind) {
    case 'root':
    case 'nfs':
    case 'ssh':
      return disk;
    default: {
      const type = target.kind === 'raw' ? 'raw' : target.type;
      if (type !== 'raw' && type !== 'ext4') refuse(`${type} ${target.device}`);
      const isTag = /^(UUID|LABEL)=/.test(target.device) && type === 'ext4';
      if (!isTag && target.device !== disk)
        throw new UsageError(`kdump.conf: ${type} ${target.device}: the lab's disk is ${disk}`);
      return target.device;
    }
  }
}

/** The lab makes the disk: one with the label or the UUID that the configuration asks for. */
function diskOf({ target }: KdumpConf, disk: string): DumpDisk {
  if (target.kind === 'raw') return { kind: 'raw' };
  const device = target.kind === 'filesystem' ? target.device : disk;
  const [, tag, value] = /^(UUID|LABEL)=(.*)$/.exec(device) ?? [];
  if (tag === 'LABEL') {
    if (Buffer.byteLength(value!) > 16)
      throw new UsageError(`kdump.conf: ${device}: labels of ext4 have 16 bytes at most`);
    return { kind: 'ext4', label: value! };
  }
  if (tag === undefined) return { kind: 'ext4' };
  if (!/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i.test(value!))
    throw new UsageError(`kdump.conf: ${device}: not a UUID`);
  return { kind: 'ext4', uuid: value! };
}

/** A hook is a file of the host: where the configuration says, or beside the configuration. */
function readHook(hook: string | undefined, conf: string): ExtraFile | undefined {
  if (hook === undefined) return undefined;
  const beside = findBeside(hook, conf);
  if (beside === undefined)
    throw new UsageError(`kdump.conf: ${hook}: no such file on this host, nor ${basename(hook)} beside ${conf}`);
  const bytes = readFileSync(beside);
  const [, interpreter] = /^#!\s*(.*?)\s*(\n|$)/.exec(asBuffer(bytes.subarray(0, 256)).toString('latin1')) ?? [];
  if (interpreter === undefined) throw new UsageError(`kdump.conf: ${hook}: not a script (it does not begin with #!)`);
  if (!SHELLS.test(interpreter))
    throw new UsageError(
      `kdump.conf: ${hook}: the lab's initramfs has no ${interpreter}: only shell scripts are possible`,
    );
  return { path: isAbsolute(hook) ? hook : `/${hook}`, bytes, mode: 0o755 };
}

/** busybox's shell stands in for the others. */
const SHELLS = /^(\/usr)?\/bin\/(env\s+)?(sh|ash|bash|dash)(\s.*)?$/;
