/** Compares store, update and delete with a model (a Map) for any order of operations. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findValueProblem, normalizeValue } from '../../../src/vault/values/value_text.ts';
import { outcomeOf } from '../../kit/outcome.ts';
import { anyText, checkAsync, PROPERTY_TIMEOUT_MS } from '../../kit/property.ts';
import { decryptStoredValues } from '../../kit/vault/database.ts';
import { openTestVault, type TestVault } from '../../kit/vault/temp_vault.ts';

/** Service, field of a stored value, all fields with the required ones first, and the number of required ones. */
const SERVICES = {
  gmail: {
    value_field: 'gmail_oauth_token',
    fields: ['gmail_oauth_token', 'gmail_client_id', 'gmail_signature'],
    required: 2,
  },
  openai: {
    value_field: 'openai_api_key',
    fields: ['openai_api_key', 'openai_organization_id', 'openai_project_id'],
    required: 1,
  },
  api_credential: { value_field: 'api_key', fields: ['api_key', 'username', 'password'], required: 1 },
} as const;
type ServiceName = 'gmail' | 'openai' | 'api_credential';

interface Target {
  readonly service: ServiceName;
  readonly stack: 'one' | 'two';
  readonly name: string | undefined;
}

type Step =
  | {
      readonly do: 'store';
      readonly target: Target;
      readonly type: 'bearer' | 'api_key';
      readonly value: string;
    }
  | {
      readonly do: 'update';
      readonly target: Target;
      readonly values: readonly (readonly [number, string])[];
    }
  | { readonly do: 'delete' | 'status' | 'refused'; readonly target: Target }
  | { readonly do: 'together'; readonly target: Target; readonly values: readonly string[] };

/** The model of a credential. */
interface Known {
  readonly id: string;
  readonly values: ReadonlyMap<string, string>;
}

const values = fc.stringMatching(/^[!-~]{1,40}$/).filter((text) => !text.startsWith('sealed:'));
const targets: fc.Arbitrary<Target> = fc.record({
  service: fc.constantFrom<ServiceName>('gmail', 'openai', 'api_credential'),
  stack: fc.constantFrom('one', 'two'),
  name: fc.constantFrom(undefined, 'work', 'Work', 'é 🔑', 'constructor'),
});
const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant('store'),
    target: targets,
    type: fc.constantFrom('bearer', 'api_key'),
    value: values,
  }),
  fc.record({
    do: fc.constant('update'),
    target: targets,
    values: fc.uniqueArray(fc.tuple(fc.nat({ max: 2 }), values), { selector: ([at]) => at, minLength: 1 }),
  }),
  fc.record({ do: fc.constantFrom('delete', 'status', 'refused'), target: targets }),
  fc.record({
    do: fc.constant('together'),
    target: targets,
    values: fc.array(values, { minLength: 2, maxLength: 6 }),
  }),
);

describe('a vault compared with a model', { timeout: PROPERTY_TIMEOUT_MS }, () => {
  test('a vault equals a Map after any sequence of operations', async () => {
    const made = await openTestVault();
    let runs = 0;
    await checkAsync(fc.array(steps, { minLength: 1, maxLength: 25 }), async (sequence) => {
      const walk = new Walk(made, runs++);
      for (const step of sequence) await walk.take(step);
      await walk.compareEverything();
    });
    const report = await made.vault.verifyAudit(made.caller());
    expect(report.findings).toEqual([]);
    await made.vault.close();
    // The state is the same after the vault is opened again.
    expect((await (await openTestVault(made.home)).vault.verifyAudit(made.caller())).ok).toBe(true);
  });

  test('a vault keeps any UTF-8 text except for white space around it, or refuses it', async () => {
    const { vault, caller, home } = await openTestVault();
    await checkAsync(
      anyText.filter((text) => text.trim() !== '' && !text.startsWith('sealed:')),
      async (text) => {
        const value = normalizeValue(text);
        const update = vault.update(caller(), {
          service_id: 'gmail',
          credentials: { gmail_signature: text },
        });
        if (findValueProblem(value, { secret: false }) !== undefined) {
          await expect(update).rejects.toMatchObject({ code: 'INVALID_INPUT' });
          return;
        }
        const { credential_id } = await update;
        expect(await decryptStoredValues(home, credential_id ?? '')).toEqual({ gmail_signature: value });
      },
    );
  });
});

/** Runs the operations on the vault and the model. Stack names contain the run, so that runs are independent. */
class Walk {
  readonly #made: TestVault;
  readonly #run: number;
  readonly #model = new Map<string, Known>();

  constructor(made: TestVault, run: number) {
    this.#made = made;
    this.#run = run;
  }

  async take(step: Step): Promise<void> {
    const { vault, caller } = this.#made;
    const where = this.#input(step.target);
    const key = JSON.stringify(step.target);
    const known = this.#model.get(key);
    const service = SERVICES[step.target.service];
    if (step.do === 'store') {
      const input = { ...where, credential_type: step.type, credential_value: step.value };
      const { credential_id } = await vault.store(caller(), input);
      const values = new Map([...(known?.values ?? []), [service.value_field, step.value] as const]);
      this.#keep(key, known, credential_id, values);
    } else if (step.do === 'update') {
      const given = new Map(step.values.map(([at, value]) => [service.fields[at] ?? '', value]));
      const updated = await vault.update(caller(), { ...where, credentials: Object.fromEntries(given) });
      expect(new Set(updated.updated_fields)).toEqual(new Set(given.keys()));
      this.#keep(key, known, updated.credential_id, new Map([...(known?.values ?? []), ...given]));
    } else if (step.do === 'delete') {
      expect(await outcomeOf(vault.delete(caller(), where))).toBe(known === undefined ? 'NOT_FOUND' : 'ok');
      this.#model.delete(key);
    } else if (step.do === 'refused') {
      // A valid value next to an invalid one: neither is stored.
      const credentials = { [service.fields[0]]: 'good', [service.fields[1]]: ' ' };
      expect(await outcomeOf(vault.update(caller(), { ...where, credentials }))).toBe('INVALID_INPUT');
    } else if (step.do === 'together') {
      await this.#together(step.target, step.values);
    }
    await this.#compareStatus(step.target);
  }

  /** Concurrent updates of different fields: none may be lost. */
  async #together(target: Target, given: readonly string[]): Promise<void> {
    const { vault, caller } = this.#made;
    const { fields } = SERVICES[target.service];
    const key = JSON.stringify(target);
    const known = this.#model.get(key);
    const updates = given.map((value, at) =>
      vault.update(caller(), {
        ...this.#input(target),
        credentials: { [fields[at % fields.length] ?? '']: value },
      }),
    );
    const ids = new Set((await Promise.all(updates)).map(({ credential_id }) => credential_id));
    expect(ids.size).toBe(1);
    // They are applied in the order of the calls.
    const written = given.map((value, at) => [fields[at % fields.length] ?? '', value] as const);
    this.#keep(key, known, [...ids][0] ?? null, new Map([...(known?.values ?? []), ...written]));
  }

  #keep(key: string, known: Known | undefined, id: string | null, kept: ReadonlyMap<string, string>): void {
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
    if (known !== undefined) expect(id).toBe(known.id);
    else expect([...this.#model.values()].map((other) => other.id)).not.toContain(id);
    this.#model.set(key, { id: id ?? '', values: kept });
  }

  async #compareStatus(target: Target): Promise<void> {
    const { vault, caller } = this.#made;
    const known = this.#model.get(JSON.stringify(target));
    const status = await vault.status(caller(), this.#input(target));
    const { fields, required } = SERVICES[target.service];
    const complete = known !== undefined && fields.slice(0, required).every((id) => known.values.has(id));
    expect(status.credential_id).toBe(known?.id ?? null);
    expect(status.required_credentials_added).toBe(complete);
    const presences = { ...status.required_credentials, ...status.optional_credentials };
    for (const id of fields)
      expect([id, presences[id]]).toEqual([id, known?.values.has(id) ? 'added' : 'missing']);
  }

  /** Compares all lists, and the stored values. */
  async compareEverything(): Promise<void> {
    const { vault, caller, home } = this.#made;
    for (const stack of ['one', 'two'] as const) {
      const { credentials } = await vault.listCredentials(caller(), { stack_id: this.#stack(stack) });
      const expected = [...this.#model].filter(([key]) => JSON.parse(key).stack === stack);
      const listed = credentials.map((one) => `${one.service_id} ${one.name} ${one.credential_id}`);
      const inModel = expected.map(
        ([key, { id }]) => `${JSON.parse(key).service} ${JSON.parse(key).name ?? null} ${id}`,
      );
      expect(listed.sort()).toEqual(inModel.sort());
    }
    for (const { id, values: kept } of this.#model.values()) {
      expect(await decryptStoredValues(home, id)).toEqual(Object.fromEntries(kept));
    }
  }

  #stack(stack: string): string {
    return `${stack} of run ${this.#run}`;
  }

  #input({ service, stack, name }: Target) {
    return { service_id: service, stack_id: this.#stack(stack), ...(name === undefined ? {} : { name }) };
  }
}
