import { describe, expect, test } from 'vitest';

import { demangleRust } from '../../../../analyzer/text/rust-symbols.ts';

/** Expected names: the examples of the rustc book "v0 Symbol Format", and what binutils' c++filt prints without crate hashes. */
describe('Rust symbols', () => {
  test.each([
    ['_RNvCs1234_7mycrate3foo', 'mycrate::foo'],
    ['_RNvMsr_NtCs3ssYzQotkvD_3std4pathNtB5_7PathBuf3newCs15kBYyAo9fc_7mycrate', '<std::path::PathBuf>::new'],
    ['_RNCNvCsgStHSCytQ6I_7mycrate4main0B3_', 'mycrate::main::{closure#0}'],
    ['_RINvNtC3std3mem8align_ofdE', 'std::mem::align_of::<f64>'],
    ['_RNvC6_123foo3bar', '123foo::bar'],
    ['_RNvXCs_7mycrateNtB2_3FooNtB2_3Bar3baz', '<mycrate::Foo as mycrate::Bar>::baz'],
    ['_RINvC1a1bAhj4_E', 'a::b::<[u8; 4]>'],
    ['_ZN4core3fmt5write17h0123456789abcdefE', 'core::fmt::write'],
    [
      '_ZN62_$LT$kernel..sync..Arc$LT$T$GT$$u20$as$u20$core..ops..Drop$GT$4drop17h0123456789abcdefE',
      '<kernel::sync::Arc<T> as core::ops::Drop>::drop',
    ],
  ])('%s', (mangled, name) => {
    expect(demangleRust(mangled)).toBe(name);
  });

  test.each(['schedule', '_RNvC', '_RB_', '_RNvB_3foo', '_ZN9', '_RINvC1a1bE'.slice(0, -1)])(
    'leaves %s, which is no Rust name or a damaged one',
    name => {
      expect(demangleRust(name)).toBeUndefined();
    },
  );
});
