/** A credential that one interface stores is seen, changed and deleted by every other: all pairs, both directions. */
import { describe, expect, test } from 'vitest';
import { revealCredentials } from '../kit/vault/revealed_values.ts';
import { FIELD, openChannels, openUnitChannels, SERVICE } from './channels.ts';

const NAMES = [
  'tool over stdio',
  'tool over HTTP',
  'ToolRouter',
  'Danube',
  'SuperAI',
  'Toolzz',
  'command line',
  'command line with --url',
  'library',
  'client',
];
const TIMEOUT_MS = 180_000;

describe('a credential', { timeout: TIMEOUT_MS }, () => {
  test.each(NAMES)(
    'stored through %s is at once seen, changed and deleted through every other interface',
    async (from) => {
      const { channels, close } = await openChannels();
      expect(channels.map(({ name }) => name)).toEqual(NAMES);
      const first = channels.find(({ name }) => name === from);
      if (first === undefined) throw new Error('no such channel');
      for (const second of channels) {
        const what: unknown[] = [from, second.name];
        expect([...what, (await second.see()).there]).toEqual([...what, false]);
        await first.store(`sk-stored-by-${from.replaceAll(' ', '-')}`);
        const stored = await second.see();
        expect([...what, stored.there]).toEqual([...what, true]);
        await second.update(`sk-changed-by-${second.name.replaceAll(' ', '-')}`);
        const changed = await first.see();
        expect([...what, changed.there]).toEqual([...what, true]);
        if (stored.updated_at !== undefined && changed.updated_at !== undefined)
          expect([...what, changed.updated_at > stored.updated_at]).toEqual([...what, true]);
        await second.remove();
        const after = [(await first.see()).there, (await second.see()).there];
        expect([...what, ...after]).toEqual([...what, false, false]);
      }
      await close();
    },
  );

  test('has the value that the last interface wrote', async () => {
    const { home, channels, close } = await openChannels({ in_this_process: false });
    const value = async () => (await revealCredentials(home)).get(SERVICE)?.values;
    for (const { name, store, update, remove } of channels) {
      const [stored, changed] = [
        `sk-one-${name.replaceAll(' ', '-')}`,
        `sk-two-${name.replaceAll(' ', '-')}`,
      ];
      await store(stored);
      expect([name, await value()]).toEqual([name, { [FIELD]: stored }]);
      await update(changed);
      expect([name, await value()]).toEqual([name, { [FIELD]: name === 'Toolzz' ? stored : changed }]);
      await remove();
      expect([name, await value()]).toEqual([name, undefined]);
    }
    await close();
  });

  test('belongs to the unit of its user, through whichever interface it was stored and changed', async () => {
    const { channels, unit_id, first_unit_id, list } = await openUnitChannels();
    expect(unit_id).not.toBe(first_unit_id);
    for (const { name, store, update, remove } of channels) {
      await store(`sk-one-${name.replaceAll(' ', '-')}`);
      const stored = [name, await list(unit_id), await list(first_unit_id)];
      expect(stored).toEqual([name, [[expect.any(String), unit_id]], []]);
      await update(`sk-two-${name.replaceAll(' ', '-')}`);
      expect([name, await list(unit_id), await list(first_unit_id)]).toEqual(stored);
      await remove();
    }
  });
});
