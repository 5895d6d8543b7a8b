import { defineConfig } from 'vitest/config';

const TEN_MINUTES = 600_000;

/** `npm test` runs all projects; `npx vitest run --project unit` runs one. */
export default defineConfig({
  test: {
    reporters: ['default', './tests/support/skipped-reporter.ts'],
    // as scripts/kdump-lab starts Node
    execArgv: ['--no-wasm-inlining'],
    projects: [
      { test: { name: 'unit', include: ['tests/unit/**/*.test.ts'], testTimeout: 60_000 } },
      { test: { name: 'conformance', include: ['tests/conformance/**/*.test.ts'], testTimeout: TEN_MINUTES } },
      {
        test: {
          name: 'boot',
          include: ['tests/boot/**/*.test.ts'],
          testTimeout: TEN_MINUTES,
          hookTimeout: TEN_MINUTES,
        },
      },
      {
        test: {
          name: 'kdump',
          include: ['tests/kdump/**/*.test.ts'],
          testTimeout: TEN_MINUTES,
          hookTimeout: TEN_MINUTES,
        },
      },
    ],
  },
});
