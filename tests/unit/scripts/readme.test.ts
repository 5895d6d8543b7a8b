import { expect, test } from 'vitest';
import { fillReadme, readReadme } from '../../../scripts/readme-tables.ts';

test('the README’s tables are those of the code (npm run readme writes them)', async () => {
  const text = readReadme();
  expect(await fillReadme(text)).toBe(text);
});

test('a section that nobody makes is an error', async () => {
  await expect(fillReadme(`${readReadme()}\n<!-- generated: moon-phases -->\n<!-- end -->\n`)).rejects.toThrow(
    'no generated section is called moon-phases',
  );
});

test('a section that is missing is an error', async () => {
  const text = readReadme().replace('<!-- generated: devices -->', '');
  await expect(fillReadme(text)).rejects.toThrow('sections are missing: devices');
});
