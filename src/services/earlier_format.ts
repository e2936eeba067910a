/**
 * Converts definitions of earlier versions: `env` was one name, and a test had `ok_status` and `ok_json`. Only for files
 * of the user; a converted file is not written back.
 */
import { isJsonObject } from '../io/json_object.ts';

type Json = Readonly<Record<string, unknown>>;

/** Returns the definition in the present format. Returns anything else unchanged, for the schema to reject. */
export function fromEarlierFormat(json: unknown): unknown {
  if (!isJsonObject(json)) return json;
  const { fields, test } = json;
  return {
    ...json,
    ...(Array.isArray(fields) ? { fields: fields.map(convertField) } : {}),
    ...(isJsonObject(test) && 'ok_status' in test && !('accept' in test) ? { test: convertTest(test) } : {}),
  };
}

function convertField(field: unknown): unknown {
  return isJsonObject(field) && typeof field.env === 'string' ? { ...field, env: [field.env] } : field;
}

function convertTest({ ok_status, ok_json, ...test }: Json): Json {
  const refused = { status: [401] };
  if (ok_json === undefined) return { ...test, accept: [{ status: ok_status }], reject: [refused] };
  const accept = [{ status: ok_status, json: [ok_json] }];
  return { ...test, accept, reject: [refused, { status: ok_status }] };
}
