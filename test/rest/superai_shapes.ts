/** The schemas that SuperAI Flow documents for its credential routes. */
import * as z from 'zod';

const uuid = z.string().regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
const time = z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

export const DOCUMENTED_PROVIDERS = [
  'microsoft',
  'sftp',
  'aws_ses',
  'google',
  'postgresql',
  'internal_postgresql',
  'file_storage',
  'api_credential',
  'sharepoint_client_secret',
  'azure_blob',
] as const;
/** Providers that only the first documentation has. */
export const EARLIER_PROVIDERS = ['sharepoint'] as const;

export const DOCUMENTED_TYPES = [
  'api_key',
  'oauth2',
  'user_password',
  'key_file',
  'client_credentials',
  'sharepoint_receive',
  'google_drive_receive',
  'sftp',
  'azure_blob_receive',
] as const;
export const EARLIER_TYPES = ['google_oauth', 'sharepoint_oauth'] as const;

/** In the order of the documentation. */
export const CredentialsResponse = z.strictObject({
  id: uuid,
  created_at: time,
  updated_at: time,
  modified_by: z.string(),
  user_id: uuid,
  name: z.string(),
  provider: z.string(),
});

export const ErrorResponse = z.strictObject({
  error: z.strictObject({ message: z.string().min(1), code: z.string(), details: z.null() }),
  request_id: z.string().regex(/^[0-9A-HJKMNP-TV-Z]{26}$/),
});

export const HTTPValidationError = z.strictObject({
  detail: z
    .array(
      z.strictObject({ loc: z.array(z.union([z.string(), z.int()])), msg: z.string(), type: z.string() }),
    )
    .min(1),
});

export const IntegrationCatalogResponse = z.strictObject({
  id: uuid,
  category: z.enum([
    'automation',
    'human_in_the_loop',
    'database',
    'messaging',
    'agent_in_the_loop',
    'storage',
  ]),
  provider: z.string(),
  name: z.string(),
  display_name: z.string().nullable(),
  description: z.string(),
  credential_types: z.array(z.enum([...DOCUMENTED_TYPES, ...EARLIER_TYPES])).min(1),
  is_plugin: z.literal(false),
  credential_providers: z
    .array(
      z.strictObject({
        is_oauth: z.boolean(),
        name: z.string(),
        credential_schema: z.record(z.string(), z.unknown()),
      }),
    )
    .nullable(),
});
