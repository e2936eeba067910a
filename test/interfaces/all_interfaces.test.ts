/** What one interface stores, updates or deletes is at once seen by every other. */
import { describe, expect, test } from 'vitest';
import { revealCredentials } from '../kit/vault/revealed_values.ts';
import { FIELD, openChannels, openUnitChannels, SERVICE, type Seen } from './channels.ts';

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
const TIMEOUT_MS = 600_000;

describe('one credential through all interfaces', { timeout: TIMEOUT_MS }, () => {
  test('a credential that one interface stores, updates or deletes is at once seen so by every other', async () => {
    const { channels, close } = await openChannels();
    expect(channels.map((channel) => channel.name)).toEqual(NAMES);
    const seenByAll = async (writer: string) => {
      const seen: Seen[] = [];
      for (const channel of channels) seen.push(await channel.see());
      return { presences: [writer, ...seen.map(({ there }) => there)], seen };
    };
    const present = (writer: string) => [writer, ...NAMES.map(() => true)];
    const absent = (writer: string) => [writer, ...NAMES.map(() => false)];
    for (const [at, writer] of channels.entries()) {
      const other = channels[(at + 1) % channels.length];
      if (other === undefined) throw new Error('no such channel');
      await writer.store('sk-stored');
      const before = await seenByAll(writer.name);
      expect(before.presences).toEqual(present(writer.name));
      await writer.remove();
      expect((await seenByAll(writer.name)).presences).toEqual(absent(writer.name));
      // Updates what another interface stored.
      await other.store('sk-stored-again');
      await writer.update('sk-updated');
      const updated = await seenByAll(writer.name);
      expect(updated.presences).toEqual(present(writer.name));
      for (const [of, { updated_at }] of updated.seen.entries()) {
        const former = before.seen[of]?.updated_at;
        if (updated_at !== undefined && former !== undefined)
          expect([writer.name, NAMES[of], updated_at > former]).toEqual([writer.name, NAMES[of], true]);
      }
      await other.remove();
    }
    await close();
  });

  test('the credential has the value that the last interface wrote', async () => {
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

  test('the credential belongs to the unit of its user, whichever interface stored and updated it', async () => {
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
