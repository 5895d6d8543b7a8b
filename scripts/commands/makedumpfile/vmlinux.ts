/** A vmlinux with debug information: for `-x` and `-g`. */
import { FileSource } from '../../../capture/formats/byte-source.ts';
import { cString } from '../../../capture/formats/bytes.ts';
import { buildIdOf, findSection, parseElf, sectionBytes } from '../../../capture/formats/elf.ts';
import type { ElfFile } from '../../../capture/formats/elf.ts';
import { FormatError, UsageError } from '../../../capture/formats/errors.ts';
import type { Vmcoreinfo } from '../../../capture/formats/vmcoreinfo.ts';
import { Btf } from '../../../analyzer/debug-info/btf.ts';
import { ElfSymbols } from '../../../analyzer/symbols/elf-symbols.ts';
import { ArrayType, EnumType, StructType, stripTypedefs } from '../../../analyzer/types/types.ts';
import type { CType } from '../../../analyzer/types/types.ts';

/** Says that debug information and dump are of different kernels: exit code 2. */
export class WrongReleaseError extends UsageError {}

/** Symbols, sizes and members that dump tools ask for; `SYMBOL`, `SIZE`, `OFFSET`, `LENGTH` lines of VMCOREINFO. */
const SYMBOLS =
  'mem_section init_uts_ns _stext swapper_pg_dir init_level4_pgt init_top_pgt vmap_area_list node_online_map node_states node_data contig_page_data prb clear_seq log_buf log_buf_len log_first_idx clear_idx log_next_idx'.split(
    ' ',
  );
const SIZES =
  'page mem_section pglist_data zone free_area list_head printk_ringbuffer prb_desc_ring prb_desc prb_data_blk_lpos printk_info prb_data_ring latched_seq printk_log'.split(
    ' ',
  );
const MEMBERS =
  'page.flags page._refcount page.mapping page.lru page._mapcount page.private page.compound_dtor page.compound_order page.compound_head folio._folio_dtor folio._folio_order mem_section.section_mem_map pglist_data.node_zones pglist_data.nr_zones pglist_data.node_start_pfn pglist_data.node_spanned_pages zone.free_area zone.vm_stat zone.spanned_pages free_area.free_list list_head.next list_head.prev vmap_area.va_start vmap_area.list printk_ringbuffer.desc_ring printk_ringbuffer.text_data_ring prb_desc_ring.count_bits prb_desc_ring.descs prb_desc_ring.infos prb_desc_ring.head_id prb_desc_ring.tail_id prb_desc.state_var prb_desc.text_blk_lpos prb_data_blk_lpos.begin prb_data_blk_lpos.next prb_data_ring.size_bits prb_data_ring.data printk_info.ts_nsec printk_info.text_len printk_info.caller_id printk_log.ts_nsec printk_log.len printk_log.text_len latched_seq.val uts_namespace.name'.split(
    ' ',
  );
const LENGTHS = ['zone.free_area', 'free_area.free_list'];
/** Enumerators whose value is a bit number of `page.flags`, or an index. */
const ENUMERATORS = 'PG_lru PG_private PG_swapcache PG_swapbacked PG_slab PG_hwpoison PG_hugetlb'.split(' ');

/** Enumerators of other enums. HUGETLB_PAGE_DTOR: Linux v4.4 to v6.5. */
const OTHER_ENUMERATORS = [
  ['compound_dtor_id', 'HUGETLB_PAGE_DTOR'],
  ['zone_stat_item', 'NR_FREE_PAGES'],
  ['node_states', 'N_ONLINE'],
] as const;

/** An opened vmlinux. */
export class Vmlinux implements Disposable {
  readonly #path: string;
  readonly #elf: ElfFile;

  constructor(path: string) {
    this.#path = path;
    this.#elf = parseElf(new FileSource(path));
  }

  [Symbol.dispose](): void {
    this.#elf.source[Symbol.dispose]();
  }

  /** @throws WrongReleaseError when the dump is of another kernel */
  checkMatches(own: Vmcoreinfo, dump: string): void {
    const id = buildIdOf(this.#elf);
    const differs =
      id !== undefined && own.buildId !== undefined ? id !== own.buildId : this.release() !== (own.osRelease ?? '');
    if (differs) throw new WrongReleaseError(`${this.#path} and ${dump} don't match.`);
  }

  /** `UTS_RELEASE`, from the banner that every kernel has. */
  release(): string {
    const match = /Linux version (\S+)/.exec(this.#banner());
    if (match !== null) return match[1]!;
    throw new FormatError("Can't get osrelease from vmlinux.", { file: this.#path });
  }

  /**
   * VMCOREINFO as far as a vmlinux tells: what the running kernel adds (KERNELOFFSET, phys_base) is missing.
   * @throws FormatError when there is no debug information
   */
  vmcoreinfoText(): string {
    const types = this.#types();
    const symbols = new ElfSymbols(this.#elf, 0n);
    const lines = [`OSRELEASE=${this.release()}`];
    const id = buildIdOf(this.#elf);
    if (id !== undefined) lines.push(`BUILD-ID=${id}`);
    lines.push('PAGESIZE=4096');
    for (const name of SYMBOLS) {
      const index = symbols.indexOf(name);
      if (index !== -1) lines.push(`SYMBOL(${name})=${symbols.addressAt(index).toString(16)}`);
    }
    for (const name of SIZES) addLine(lines, `SIZE(${name})`, findStruct(types, name)?.size);
    for (const name of MEMBERS) addLine(lines, `OFFSET(${name})`, memberOffset(types, name));
    for (const name of LENGTHS) addLine(lines, `LENGTH(${name})`, memberLength(types, name));
    const flags = enumerators(types, 'pageflags');
    for (const name of ENUMERATORS) addLine(lines, `NUMBER(${name})`, flags.get(name));
    const head = flags.get('PG_head');
    addLine(lines, 'NUMBER(PG_head_mask)', head === undefined ? undefined : 2 ** head);
    for (const [type, name] of OTHER_ENUMERATORS) addLine(lines, `NUMBER(${name})`, enumerators(types, type).get(name));
    lines.push(...pageTypeLines(types));
    return `${lines.join('\n')}\n`;
  }

  #types(): Btf {
    const section = findSection(this.#elf, '.BTF');
    if (section !== undefined) return new Btf(sectionBytes(this.#elf, section), undefined, this.#path);
    throw new FormatError("Can't get necessary information: the kernel has no BTF", {
      file: this.#path,
      expected: 'a section .BTF',
      found: 'none',
    });
  }

  #banner(): string {
    const symbols = new ElfSymbols(this.#elf, 0n);
    const index = symbols.indexOf('linux_banner');
    const address = index === -1 ? undefined : symbols.addressAt(index);
    const section = this.#elf.sections.find(
      ({ sh_addr: start, sh_size: size }) =>
        address !== undefined && start > 0n && address >= start && address < start + BigInt(size),
    );
    if (address === undefined || section === undefined) return '';
    const offset = section.sh_offset + Number(address - section.sh_addr);
    return cString(this.#elf.source.read(offset, Math.min(512, this.#elf.source.size - offset)));
  }
}

/** Opens a vmlinux. @throws UsageError, FormatError */
export function openVmlinux(path: string): Vmlinux {
  return new Vmlinux(path);
}

function addLine(lines: string[], key: string, value: number | undefined): void {
  if (value !== undefined) lines.push(`${key}=${value}`);
}

function findStruct(types: Btf, name: string): StructType | undefined {
  const found = types.find(name, 'struct') ?? types.find(name, 'typedef');
  const bare = found === undefined ? undefined : stripTypedefs(found);
  return bare instanceof StructType ? bare : undefined;
}

function memberOffset(types: Btf, path: string): number | undefined {
  const place = findPlace(types, path);
  return place === undefined ? undefined : place.bitOffset / 8;
}

function memberLength(types: Btf, path: string): number | undefined {
  const type = findPlace(types, path)?.type;
  const bare = type === undefined ? undefined : stripTypedefs(type);
  return bare instanceof ArrayType ? bare.length : undefined;
}

function findPlace(types: Btf, path: string): { readonly bitOffset: number; readonly type: CType } | undefined {
  const [struct, member] = path.split('.') as [string, string];
  return findStruct(types, struct)?.place(member);
}

function enumerators(types: Btf, name: string): Map<string, number> {
  const type = types.find(name, 'enum');
  if (!(type instanceof EnumType)) return new Map();
  return new Map(type.enumerators.map(({ name: key, value }) => [key, Number(value)]));
}

/**
 * Values of `page->page_type`. Since Linux v6.11 they are an enum; before, macros of `include/linux/page-flags.h` whose
 * values were ~bit of PG_buddy (0x80), PG_offline (0x100) since v4.18.
 */
function pageTypeLines(types: Btf): string[] {
  const values = enumerators(types, 'pagetype');
  const line = (name: string, constant: string): string[] => {
    const value = values.get(name);
    return value === undefined ? [] : [`NUMBER(PAGE_${constant}_MAPCOUNT_VALUE)=${(value << 24) | 0}`];
  };
  const known = [
    ...line('PGTY_buddy', 'BUDDY'),
    ...line('PGTY_offline', 'OFFLINE'),
    ...line('PGTY_slab', 'SLAB'),
    ...line('PGTY_hugetlb', 'HUGETLB'),
    ...line('PGTY_unaccepted', 'UNACCEPTED'),
  ];
  return known.length > 0
    ? known
    : ['NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-129', 'NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)=-257'];
}
