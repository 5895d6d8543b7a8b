/** Help and version. */
import packageJson from '../../../package.json' with { type: 'json' };

export const VERSION = `makedumpfile: version ${packageJson.version} (kdump-lab; options of makedumpfile 1.7.9)
lzo\tenabled
snappy\tenabled
zstd\tenabled

`;

export const HELP = `
usage:
  create a dump:       makedumpfile [-c|-l|-p|-z|-E] [-d LEVEL[,LEVEL...]] [-x VMLINUX|-i VMCOREINFO] VMCORE DUMPFILE
  to standard output:  makedumpfile -F [options] VMCORE            (the flattened form; messages go to stderr)
  from the flattened:  makedumpfile -R DUMPFILE < FLATTENED
  split:               makedumpfile --split [options] VMCORE DUMPFILE1 DUMPFILE2 ...
  reassemble:          makedumpfile --reassemble DUMPFILE1 DUMPFILE2 ... DUMPFILE
  kernel log:          makedumpfile --dump-dmesg [--partial-dmesg] VMCORE LOGFILE
  memory by use:       makedumpfile --mem-usage VMCORE
  make VMCOREINFO:     makedumpfile -g VMCOREINFO -x VMLINUX

VMCORE is an ELF core, a kdump-compressed or a flattened file; a kdump-compressed one is filtered again.

  -c, -l, -p, -z       compress with zlib, lzo, snappy, zstd (default: not at all)
  -E                   an ELF core instead of a kdump-compressed file
  -d LEVEL[,...]       leave out pages: 1 zero, 2 non-private cache, 4 all cache, 8 user data, 16 free; the sum of them.
                       Further levels are tried when the dump does not fit
  -e                   leave out the page structures of pages that are left out (x86_64; needs --work-dir)
  -L SIZE              limit of the dump's size; suffixes K, M, G, T, P, E
  --num-threads N      compress on N threads
  --splitblock-size K  where --split may cut, in KiB (default 1 GiB)
  -x VMLINUX           debug information of the kernel, where the dump has no VMCOREINFO
  -i FILE              VMCOREINFO from a file
  --config FILE        erase what the file names (makedumpfile.conf(5)); needs -x
  --vtop ADDRESS       also translate a kernel virtual address
  --dry-run            do everything but write
  --show-stats         report what was left out
  --message-level N    1 progress, 2 common, 4 errors, 8 debugging, 16 report; the sum of them (default 7)
  -D                   also print debugging messages
  --check-params       only check the command line
  -f                   overwrite DUMPFILE
  -h, -v               this help, the version
  -b, --cyclic-buffer, --work-dir, --non-mmap   accepted; bitmaps always fit in memory here

Exit status: 0 done, 1 failed, 2 VMLINUX or VMCOREINFO does not belong to VMCORE.
`;
