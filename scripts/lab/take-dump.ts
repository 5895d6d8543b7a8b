/** Takes the dump off the disk that the guest wrote: a file of its file system, or what a raw disk begins with. */
import { createHash } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';

import { FileSource } from '../../capture/formats/byte-source.ts';
import { isElf, parseElf } from '../../capture/formats/elf.ts';
import { FormatError } from '../../capture/formats/errors.ts';
import { isFlattened } from '../../capture/formats/flattened.ts';
import { FileSink, type DumpSink } from '../../capture/output/dump-sink.ts';
import { OwnedSink } from '../../capture/output/owned-sink.ts';
import { rearrange } from '../../capture/writer-flattened.ts';
import { discardTemporary, temporaryName } from '../../kernel-images/cache-folder.ts';
import { Ext4Image } from '../../kernel-images/ext4/read.ts';
import type { FlowFiles } from './flow.ts';
import { hashFile, type HashedFile } from './report.ts';

const COPY_SIZE = 1 << 20;
const SNIFF_SIZE = 4096;

/**
 * Takes the dump, and the kernel's log if it lies beside it.
 * @param place of the dump on the disk, or `raw`
 * @returns undefined when the disk has none
 * @throws FormatError when a raw disk begins with something else
 */
export async function takeDump(files: FlowFiles, disk: string, place: string): Promise<HashedFile | undefined> {
  if (place === 'raw') return await takeRawDump(files.vmcore, disk);
  using image = new Ext4Image(disk);
  const log = image.find(place.replace(/[^/]*$/, 'vmcore-dmesg.txt'));
  if (log !== undefined) writeFileSync(files.dmesg, image.read(log));
  const file = image.find(place);
  if (file === undefined) return undefined;
  const temporary = temporaryName(files.vmcore);
  try {
    const hash = createHash('sha256');
    image.copyOut(file, temporary, bytes => hash.update(bytes));
    renameSync(temporary, files.vmcore);
    return { size: file.size, sha256: hash.digest('hex') };
  } finally {
    discardTemporary(temporary);
  }
}

/** A flattened dump is turned into the file that it stands for, an ELF core is copied as far as it goes. */
async function takeRawDump(target: string, disk: string): Promise<HashedFile> {
  using source = new FileSource(disk);
  using sink = new OwnedSink(new FileSink(target));
  const start = source.read(0, Math.min(SNIFF_SIZE, source.size));
  if (isFlattened(start)) rearrange(readerOf(source), sink, disk);
  else if (isElf(start)) copy(source, endOfElf(source), sink);
  else throw new FormatError('no dump on the raw disk', { file: disk, expected: 'a flattened dump or an ELF core' });
  sink.commit();
  return await hashFile(target);
}

function readerOf(source: FileSource): (length: number) => Uint8Array {
  let position = 0;
  return length => {
    const bytes = source.read(position, Math.min(length, source.size - position));
    position += bytes.length;
    return bytes;
  };
}

function endOfElf(source: FileSource): number {
  const { segments } = parseElf(source);
  return Math.min(source.size, Math.max(0, ...segments.map(({ p_offset: offset, p_filesz: size }) => offset + size)));
}

function copy(source: FileSource, size: number, sink: DumpSink): void {
  for (let offset = 0; offset < size; offset += COPY_SIZE)
    sink.write(offset, source.read(offset, Math.min(COPY_SIZE, size - offset)));
}
