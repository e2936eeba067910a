/** Builds the parts that produce values at use, from the settings and the environment. */
import type { Egress } from '../egress/egress.ts';
import { invalidSetting } from '../settings/environment.ts';
import { parseReferenceSettings } from '../settings/references.ts';
import type { Settings } from '../settings/settings.ts';
import { ValueProducer } from '../use/values/value_producer.ts';
import { ReferenceList } from '../vault/values/reference_list.ts';

/** The operator's list. Throws INVALID_INPUT, reason `setting_invalid`, for an entry that cannot be one. */
export function allowedReferences(env: NodeJS.ProcessEnv): ReferenceList {
  const { allowed = '' } = parseReferenceSettings(env);
  const list = ReferenceList.parse(allowed);
  if (list !== undefined) return list;
  throw invalidSetting(
    'KEYHOLD_REFERENCES must be names of environment variables and vault://MOUNT/PATH#FIELD, with commas between them and * for any characters',
  );
}

/** `operatorEgress`: for the server that the operator names. */
export function openValueProducer(
  env: NodeJS.ProcessEnv,
  root_key: Settings['root_key'],
  operatorEgress: () => Promise<Egress>,
  now: () => Date,
): ValueProducer {
  const { vault_server } = parseReferenceSettings(env);
  const resolvable = { ...env };
  if (root_key.kind === 'env') delete resolvable[root_key.name];
  return new ValueProducer({
    references: {
      list: allowedReferences(env),
      env: resolvable,
      vault_server: vault_server && { ...vault_server, egress: operatorEgress },
    },
    env,
    now,
  });
}
