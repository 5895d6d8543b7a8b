import { describe, expect, test } from 'vitest';

import { FormatError } from '../../../capture/formats/errors.ts';
import { Vmcoreinfo } from '../../../capture/formats/vmcoreinfo.ts';
import { pageLayout } from '../../../capture/page-layout.ts';
import { PAGE_VMCOREINFO_6_1 as LINUX_6_1 } from '../../support/page-vmcoreinfo.ts';

const without = (line: string): string =>
  LINUX_6_1.split('\n')
    .filter(text => !text.startsWith(line))
    .join('\n');

describe('pageLayout', () => {
  test('reads flags as masks and types as signed numbers', () => {
    const layout = pageLayout(new Vmcoreinfo(LINUX_6_1));
    expect(layout).toMatchObject({ size: 64, lruMask: 0x10, privateMask: 0x2000, slabMask: 0x200, hwpoisonMask: 0 });
    expect(layout).toMatchObject({ buddyType: -129, offlineType: -257, slabType: undefined, freeAreas: 11 });
  });

  test.each([
    ['a destructor byte (v4.4 to v6.2)', LINUX_6_1, { kind: 'destructor', order: 17, destructor: 16, hugetlb: 2 }],
    [
      'folio members (v6.3 to v6.5)',
      `${LINUX_6_1}OFFSET(folio._folio_dtor)=80\nOFFSET(folio._folio_order)=81\n`,
      { kind: 'destructor', order: 17, destructor: 16, hugetlb: 2 },
    ],
    ['PG_hugetlb (v6.6 to v6.8)', `${LINUX_6_1}NUMBER(PG_hugetlb)=8\n`, { kind: 'flag', hugetlbMask: 0x100 }],
    [
      'a page type (since v6.9)',
      `${LINUX_6_1}NUMBER(PAGE_HUGETLB_MAPCOUNT_VALUE)=-201326592\n`,
      { kind: 'page type', hugetlb: -201_326_592 },
    ],
    [
      'the address of a destructor (before v4.4)',
      `${without('OFFSET(page.compound_')}SYMBOL(free_huge_page)=ffffffff81180000\n`,
      { kind: 'destructor address', order: 16, destructor: 8, hugetlb: 0xffff_ffff_8118_0000n },
    ],
  ])('knows compound pages by %s', (_, text, compound) => {
    expect(pageLayout(new Vmcoreinfo(text)).compound).toEqual(compound);
  });

  test.each(['SIZE(page)', 'OFFSET(page.flags)', 'OFFSET(page.mapping)', 'NUMBER(PG_lru)', 'NUMBER(PG_private)'])(
    'names the missing line %s',
    line => {
      expect(() => pageLayout(new Vmcoreinfo(without(line)))).toThrow(`expected ${line}`);
    },
  );

  test.each(['0', '8', '63', '4096', '-64'])('refuses structures of %s bytes', size => {
    const text = LINUX_6_1.replace('SIZE(page)=64', `SIZE(page)=${size}`);
    expect(() => pageLayout(new Vmcoreinfo(text))).toThrow(FormatError);
  });
});
