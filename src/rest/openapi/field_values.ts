/** Field id to value, as a body has it. The vault checks the values; here it is only made sure that none is lost. */
import { z } from '@hono/zod-openapi';

/** Passed on as it came: a record of zod's leaves out a field named `__proto__`, and the vault must see it to refuse it. */
export const FieldValues = z
  .custom<Record<string, string>>(
    (given) => typeof given === 'object' && given !== null && !Array.isArray(given),
    'must be an object of field ids and values',
  )
  .openapi({
    type: 'object',
    additionalProperties: { type: 'string' },
    description:
      'Field id to value; a value may be "sealed:BASE64", sealed to the public key of the vault. Fields that are not named stay as they are.',
    example: { linear_api_key: 'lin_api_abc123def456789' },
  });
