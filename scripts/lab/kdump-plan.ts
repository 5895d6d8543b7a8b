/**
 * From a kdump.conf to what the lab's capture kernel does: its disk, its initramfs, its settings.
 *
 * Not modelled: targets other than ext4 and raw disks, drop-in folders of hooks (pre.d, post.d), fence_kdump.
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, isAbsolute, join } from 'node:path';

import { asBuffer } from '../../capture/formats/bytes.ts';
import { UsageError } from '../../capture/formats/errors.ts';
import { parseKdumpConf, type KdumpConf } from '../../capture/kdump-conf.ts';
import type { ExtraFile } from '../../kernel-images/initramfs/build.ts';
import type { KdumpSettings } from '../../kernel-images/initramfs/settings.ts';
import type { Note } from './report.ts';

/** What the dump disk is made with. */
export type DumpDisk =
  { readonly kind: 'ext4'; readonly label?: string; readonly uuid?: string } | { readonly kind: 'raw' };

/** A configuration that the lab can obey. */
export interface KdumpPlan {
  readonly settings: KdumpSettings;
  readonly coreCollector: string;
  readonly disk: DumpDisk;
  readonly hooks: readonly ExtraFile[];
  /** Programs of `extra_bins`, by the names under which they are called. */
  readonly extraBins: readonly string[];
  readonly extraModules: readonly string[];
  readonly notes: readonly Note[];
}

/**
 * Reads a configuration and plans what it asks for.
 * @param disk the guest's name of the dump disk, `/dev/vda`
 * @throws FormatError, UsageError in one line, naming the directive
 */
export function readKdumpPlan(path: string, disk: string): KdumpPlan {
  if (!existsSync(path)) throw new UsageError(`--kdump-conf ${path}: no such file`);
  const conf = parseKdumpConf(readFileSync(path, 'utf8'), path);
  const hooks = [conf.kdumpPre, conf.kdumpPost].filter(hook => hook !== undefined).map(hook => readHook(hook, path));
  return {
    settings: {
      target: conf.target.kind === 'raw' ? 'raw' : 'filesystem',
      device: deviceOf(conf, disk),
      path: conf.path,
      failureAction: conf.failureAction,
      finalAction: conf.finalAction,
      pre: hooks[0] !== undefined && conf.kdumpPre !== undefined ? hooks[0].path : '',
      post: conf.kdumpPost === undefined ? '' : hooks.at(-1)!.path,
    },
    coreCollector: conf.coreCollector,
    disk: diskOf(conf, disk),
    hooks,
    extraBins: conf.extraBins,
    extraModules: conf.extraModules,
    notes: [
      ...conf.warnings.map(text => ({ code: 'kdump-conf', text: `${path}: ${text}` })),
      ...conf.unused.map(text => ({ code: 'kdump-conf', text: `${path}: ${text}: without effect in the lab` })),
    ],
  };
}

/** The directive's own words for a target that the lab's machine does not have. */
function refuse(directive: string): never {
  throw new UsageError(
    `kdump.conf: ${directive}: the lab's machine has one disk and no network: ext4 and raw targets on it are possible`,
  );
}

function deviceOf({ target }: KdumpConf, disk: string): string {
  switch (target.kind) {
    case 'root':
      return disk;
    case 'nfs':
      return refuse(`nfs ${target.export}`);
    case 'ssh':
      return refuse(`ssh ${target.destination}`);
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
function readHook(hook: string, conf: string): ExtraFile {
  const folder = dirname(conf);
  const places = isAbsolute(hook) ? [hook, join(folder, basename(hook))] : [join(folder, hook)];
  const beside = places.find(path => existsSync(path));
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
