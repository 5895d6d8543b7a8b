/** Results as a processor gives them (AMD EPYC, recorded): ours are within one unit of the last place. */
import { describe, expect, test } from 'vitest';
import { createEnvironment, FLOAT_FLAG, X87_RULES } from '../../../../../emulator/cpu/float/environment.ts';
import type { X87Operation } from '../../../../../emulator/cpu/x64/system/x87-form.ts';
import {
  isTooLarge,
  transcendental,
  TRANSCENDENTALS_OF_ONE,
  TRANSCENDENTALS_OF_TWO,
} from '../../../../../emulator/cpu/x64/system/x87-numbers.ts';

/** Operation, ST0, ST1, result, as 80 bits. */
const RECORDED: readonly (readonly [X87Operation, bigint, bigint, bigint])[] = [
  ['SIN', 0x3fb9_fca5_bc92_84c8_1f3bn, 0xbfeb_83cb_25cd_ddcd_8b91n, 0x3fb9_fca5_bc92_84c8_1f3bn],
  ['SIN', 0xbfe7_86db_0cbd_e506_47e3n, 0x3ff5_a9f5_43ac_c9fd_5982n, 0xbfe7_86db_0cbd_e506_2ef0n],
  ['SIN', 0xbfef_eebb_2ec6_82eb_b07cn, 0x3ffc_c2e9_24ec_0dc4_c170n, 0xbfef_eebb_2ec5_f883_a4e0n],
  ['SIN', 0x3fe3_ae7a_488d_185b_35b2n, 0x400c_f35b_4119_b81f_c0e0n, 0x3fe3_ae7a_488d_185b_357cn],
  ['SIN', 0x3ff5_c9f0_c43b_f17c_52ddn, 0x4004_de6e_9bd0_258c_91fdn, 0x3ff5_c9f0_beff_9747_75ecn],
  ['SIN', 0xbfec_9b62_16e1_7af9_422an, 0xbfeb_9344_c538_3102_996an, 0xbfec_9b62_16e1_7a60_9b6bn],
  ['COS', 0x3fb9_b0ea_bd70_02bb_ca58n, 0x4010_8e0d_e3f8_1b0a_2f4dn, 0x3fff_8000_0000_0000_0000n],
  ['COS', 0x4002_9d1b_ec2b_bdb8_fdc3n, 0xbffa_87c6_f59f_a9e6_95e0n, 0xbffe_ec55_1ee0_3372_3a98n],
  ['COS', 0xbffd_efc0_468c_04ae_447en, 0xbff6_fca1_c7ea_f964_b8f2n, 0x3ffe_e471_42fb_802e_3b18n],
  ['COS', 0xbff4_dadc_315b_b7a3_f085n, 0x400c_bf5e_b46d_48d8_7999n, 0x3ffe_ffff_fa27_21fa_0a1cn],
  ['COS', 0xbffc_b646_c908_d38b_24ccn, 0x3feb_b07c_b212_3ccd_a7bbn, 0x3ffe_fbf4_774b_5745_4691n],
  ['COS', 0xbfe2_a862_ed24_05e7_58d4n, 0xc000_9a00_78af_2f73_eed0n, 0x3ffe_ffff_ffff_ffff_ffc9n],
  ['PTAN', 0x3fb9_abc6_e32e_22e1_a439n, 0x400c_8624_2709_178b_6d75n, 0x3fb9_abc6_e32e_22e1_a439n],
  ['PTAN', 0xbff2_a379_9873_f5e4_ce0an, 0x3ffe_8d39_ec14_502e_1bbbn, 0xbff2_a379_988a_2e53_c5afn],
  ['PTAN', 0xbffe_d570_24b8_286a_2b7bn, 0xbff1_de71_b902_124e_64ecn, 0xbfff_8d03_f792_1352_5703n],
  ['PTAN', 0xbfeb_a886_a4c6_3875_7b4cn, 0x4011_f17f_01ec_65bf_6fcbn, 0xbfeb_a886_a4c6_38d6_dbf8n],
  ['PTAN', 0x3ff4_e77e_eb48_57a8_ff07n, 0x3fff_9d12_2db8_3e62_54a1n, 0x3ff4_e77e_ef39_f08d_c8f5n],
  ['PTAN', 0xbffd_f2d7_aa16_5a04_dd0fn, 0x400a_91be_7bce_4aeb_07e7n, 0xbffe_836d_7c57_0b98_6f04n],
  ['F2XM1', 0x3ff0_f50e_b283_1261_711fn, 0x3ffc_d3a5_38b0_81e3_e935n, 0x3ff0_a9dd_4253_dce5_a80dn],
  ['F2XM1', 0xbffd_93bc_2bf0_629d_c674n, 0xc001_c5ee_ae8e_e11f_0c7cn, 0xbffc_b99f_89d6_cb20_bb23n],
  ['F2XM1', 0xbfe7_c0e5_923f_c699_c047n, 0xc005_fb58_ed85_1cd0_fbf8n, 0xbfe7_85b4_b222_bf31_82c6n],
  ['F2XM1', 0x3fec_d76a_003c_b485_2daan, 0x3fed_d2e2_b5b2_3e81_44d5n, 0x3fec_9550_566b_f45b_577en],
  ['F2XM1', 0x3fe2_abec_6feb_f649_9132n, 0x3ff6_9116_a226_4131_79c5n, 0x3fe1_ee56_318c_c875_b2f7n],
  ['F2XM1', 0x3fd9_838a_179d_b232_20dfn, 0x3ff6_c7b3_878a_9fe6_8740n, 0x3fd8_b65a_3446_9634_681cn],
  ['YL2X', 0x3ffd_f444_18cf_2f64_5a72n, 0xc00b_d7d3_50c2_c4e6_5e2en, 0x400b_e66f_5128_04c0_eb9an],
  ['YL2X', 0x401c_b0b1_d261_1ccf_ee2an, 0xc00f_e183_4b1b_5c0a_b04dn, 0xc014_cfa6_1941_1a57_9c12n],
  ['YL2X', 0x4004_9852_ef15_f404_75b5n, 0xc00e_b034_f8d6_e9f6_4e61n, 0xc010_e750_caf0_3589_8640n],
  ['YL2X', 0x4004_d0ed_611d_f6c9_0699n, 0x4007_8e35_daf6_bf14_c835n, 0x4009_cae4_c08d_2776_b2edn],
  ['YL2X', 0x3feb_9137_a6f3_3abe_0842n, 0xbff5_baf4_f81c_29df_1e4cn, 0x3ff9_e791_950f_baa7_80ean],
  ['YL2X', 0x3ff6_df49_e3c9_0f39_673dn, 0xc001_8594_ca28_f4e2_00d0n, 0x4004_88df_e2cb_b920_c2fdn],
  ['YL2XP1', 0xbff8_83e2_7a64_3575_2cb7n, 0xc005_effe_d108_af7b_8301n, 0x3fff_b318_8ccc_5cfd_cb28n],
  ['YL2XP1', 0x3fe3_9785_7e90_944e_00f8n, 0x400a_cfa1_b246_8fd8_89e4n, 0x3fef_b14c_1ecd_e3c2_911cn],
  ['YL2XP1', 0xbfe6_b661_1b81_bbc7_61c9n, 0x400b_df15_ff97_159f_2235n, 0xbff3_e549_de8d_12fc_5ccan],
  ['YL2XP1', 0x3fe8_be73_89fc_4b88_9614n, 0xc010_8efa_0886_bd5b_5e9fn, 0xbffa_9974_ba35_fa59_d049n],
  ['YL2XP1', 0x3fef_aa13_7387_bb50_7a22n, 0x4001_d621_c1b1_009e_c904n, 0x3ff2_cd3c_86a1_aaf3_ad1en],
  ['YL2XP1', 0xbfea_a9ac_9081_754c_6f28n, 0xbff8_c16f_ce4a_bcc4_e3fcn, 0x3fe4_b8f6_ffc5_2501_1ee8n],
  ['PATAN', 0x3ff9_d0f2_f1fe_65b4_636cn, 0xc008_e71a_58fa_cbe3_9d37n, 0xbfff_c90e_f32c_8598_f74an],
  ['PATAN', 0x401c_b7bb_d329_3ea6_b7fdn, 0xbff7_f14e_c790_e5aa_9b89n, 0xbfda_a81c_0c12_c8c7_f960n],
  ['PATAN', 0xbfe6_8a0b_2c62_3cdc_7bd9n, 0xbffa_f0dc_9b60_5afd_3189n, 0xbfff_c90f_df37_e371_35ccn],
  ['PATAN', 0x4019_a170_9f4d_c220_7cccn, 0xbfed_9d9d_77e7_ffab_7e9an, 0xbfd2_f9ef_53c0_1340_6684n],
  ['PATAN', 0x401b_f7c5_0996_953b_f572n, 0xbff7_9a50_3e29_9ce3_ead4n, 0xbfda_9f70_7af4_dd0e_dd94n],
  ['PATAN', 0xc00c_d848_863e_b310_b3d4n, 0xc012_90e3_204b_96c1_cdden, 0xbfff_cc0c_0386_cb98_c1acn],
];

const ONE = 0x3fff_8000_0000_0000_0000n;
const ZERO = 0n;
const MINUS = 1n << 79n;
const INFINITY = 0x7fff_8000_0000_0000_0000n;

function compute(operation: X87Operation, x: bigint, y: bigint): { result: bigint; flags: number } {
  const environment = createEnvironment(X87_RULES);
  const of = TRANSCENDENTALS_OF_ONE[operation] ?? TRANSCENDENTALS_OF_TWO[operation]!;
  const result = transcendental(environment, of, x, TRANSCENDENTALS_OF_ONE[operation] ? x : y);
  return { result, flags: environment.flags };
}

describe('transcendental functions of the x87', () => {
  test.each(RECORDED)('%s of %d, %d', (operation, x, y, expected) => {
    const { result, flags } = compute(operation, x, y);
    expect(Math.abs(Number(result - expected))).toBeLessThanOrEqual(1);
    expect(flags & FLOAT_FLAG.INEXACT).toBe(FLOAT_FLAG.INEXACT);
  });

  const special: readonly (readonly [string, X87Operation, bigint, bigint, bigint, number])[] = [
    ['the sine of -0 is -0', 'SIN', MINUS, ZERO, MINUS, 0],
    ['the cosine of 0 is 1', 'COS', ZERO, ZERO, ONE, 0],
    ['the logarithm of 1 is 0', 'YL2X', ONE, ONE, ZERO, 0],
    ['the logarithm of 0 is a division by zero', 'YL2X', ZERO, ONE, INFINITY | MINUS, FLOAT_FLAG.DIVIDE_BY_ZERO],
    ['the logarithm of infinity is infinity', 'YL2X', INFINITY, ONE, INFINITY, 0],
  ];
  test.each(special)('%s', (_name, operation, x, y, expected, flags) => {
    expect(compute(operation, x, y)).toEqual({ result: expected, flags });
  });

  test('the logarithm of a negative number, and the sine of infinity, are invalid', () => {
    expect(compute('YL2X', ONE | MINUS, ONE).flags).toBe(FLOAT_FLAG.INVALID);
    expect(compute('SIN', INFINITY, ZERO).flags).toBe(FLOAT_FLAG.INVALID);
  });

  test('angles from 2 ** 63 on are too large', () => {
    expect([0x403e_8000_0000_0000_0000n, 0x403d_ffff_ffff_ffff_ffffn, INFINITY].map(isTooLarge)).toEqual([
      true,
      false,
      false,
    ]);
  });
});
