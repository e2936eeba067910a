/** Values of fields that a service may not define, as some clients send them. */
import * as z from 'zod';

/** Maximum nesting of a value that is not text. */
const CUSTOM_VALUE_DEPTH_MAX = 16;

/**
 * Accepts field ids that the service does not define. A value that is not text is stored as its JSON text. A custom check,
 * since `z.record` drops a field named `__proto__` and `z.json` does not limit the depth.
 */
export const CustomFieldValues = z.custom<Readonly<Record<string, unknown>>>(
  (values) =>
    typeof values === 'object' &&
    values !== null &&
    !Array.isArray(values) &&
    Object.values(values).every((value) => isCustomValue(value, CUSTOM_VALUE_DEPTH_MAX)),
  `must be an object of JSON values, none deeper than ${CUSTOM_VALUE_DEPTH_MAX} levels`,
);

function isCustomValue(value: unknown, depth: number): boolean {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true;
  if (typeof value === 'number') return Number.isFinite(value);
  return (
    typeof value === 'object' &&
    depth > 0 &&
    Object.values(value).every((inner) => isCustomValue(inner, depth - 1))
  );
}
