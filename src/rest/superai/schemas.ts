/**
 * The request and response schemas of the SuperAI Flow dialect, for validation and for OpenAPI. As in that API, bodies
 * may have unknown keys, which are ignored.
 */
import { z } from '@hono/zod-openapi';
import { NAME_MAX_CHARACTERS, SEALED_VALUE_MAX_CHARACTERS } from '../../contract/limits.ts';
import { errorResponses, WRITE_ERRORS } from '../openapi/responses.ts';
import { isPlainObject, jsonOf, requiredWith } from '../openapi/schemas.ts';
import { NO_DICTIONARY, REQUIRED } from './pydantic_errors.ts';

/** Every credential type that this API has documented. The vault has more. */
export const SUPERAI_CREDENTIAL_TYPES = [
  'api_key',
  'google_oauth',
  'sharepoint_oauth',
  'oauth2',
  'user_password',
  'key_file',
  'client_credentials',
  'sharepoint_receive',
  'google_drive_receive',
  'sftp',
  'azure_blob_receive',
] as const;
export type SuperaiCredentialType = (typeof SUPERAI_CREDENTIAL_TYPES)[number];

/** Every provider that this API has documented. Any other service of the catalogue is accepted too. */
export const SUPERAI_PROVIDERS = [
  'microsoft',
  'sharepoint',
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

/** Only in earlier documentation. Clients that are generated from the present one reject a list that has them. */
export const SUPERAI_EARLIER_VALUES: ReadonlySet<string> = new Set([
  'sharepoint',
  'google_oauth',
  'sharepoint_oauth',
]);

export const SUPERAI_CATEGORIES = [
  'automation',
  'human_in_the_loop',
  'database',
  'messaging',
  'agent_in_the_loop',
  'storage',
] as const;

const required = requiredWith(REQUIRED);

/** Not a zod record, which would drop a field named `__proto__`. */
const FreeObject = z
  .custom<Record<string, unknown>>(isPlainObject, {
    error: ({ input }) => (input === undefined ? REQUIRED : NO_DICTIONARY),
  })
  .openapi({
    type: 'object',
    additionalProperties: true,
    description: 'Field to value. Fields that the provider does not define are kept as they are.',
    example: { host: 'sftp.example.com', username: 'deploy', password: '...' },
  });

const Name = z.string(required).min(1).max(NAME_MAX_CHARACTERS);
const CredentialTypeEnum = z.enum(SUPERAI_CREDENTIAL_TYPES, required).openapi('CredentialTypeEnum');
const Provider = z
  .string(required)
  .min(1)
  .max(NAME_MAX_CHARACTERS)
  .openapi({
    description: `One of ${SUPERAI_PROVIDERS.join(', ')}, or the id of any other service of the catalogue.`,
    example: 'sftp',
  });

export const UserIntegrationCredentialsCreate = z
  .object({ name: Name, provider: Provider, credential_type: CredentialTypeEnum, credentials: FreeObject })
  .openapi('UserIntegrationCredentialsCreate');

export const UserIntegrationCredentialsUpdate = z
  .object({ name: Name.nullish(), credential_type: CredentialTypeEnum, credentials: FreeObject })
  .openapi('UserIntegrationCredentialsUpdate');

export const CredentialsResponse = z
  .object({
    id: z.uuid(),
    created_at: z.iso.datetime(),
    updated_at: z.iso.datetime(),
    modified_by: z.string(),
    user_id: z.uuid().nullable(),
    name: z.string(),
    provider: z.string(),
  })
  .openapi('CredentialsResponse');
export type CredentialsResponse = z.infer<typeof CredentialsResponse>;

export const RevealedCredentials = z.record(z.string(), z.string());

/** The path of one credential. */
export const CredentialPath = z.object({
  credential_id: z.guid().openapi({
    param: { name: 'credential_id', in: 'path' },
    example: '123e4567-e89b-12d3-a456-426614174000',
  }),
});

export const ProviderPath = z.object({
  provider: z.string().openapi({ param: { name: 'provider', in: 'path' }, example: 'sharepoint' }),
});

const PORT_MAX = 65_535;
const Text = z.string(required).max(SEALED_VALUE_MAX_CHARACTERS);

export const SftpTestConnectionRequest = z
  .object({
    host: Text,
    /** A number, or a string of digits. */
    port: z
      .preprocess(
        (given) => (typeof given === 'string' && /^\d{1,5}$/.test(given) ? Number(given) : given),
        z.int().min(1).max(PORT_MAX),
      )
      .default(22),
    username: Text,
    auth_type: z.enum(['password', 'user_password', 'key_file'], required),
    password: Text.nullish(),
    private_key_data: Text.nullish(),
    private_key_passphrase: Text.nullish(),
    test_path: Text.default('/'),
  })
  .openapi('SftpTestConnectionRequest');

export const PostgresCreateRequest = z
  .object({
    host: Text,
    port: Text.openapi({ example: '5432' }),
    username: Text,
    password: Text,
    database: Text,
    connection_string: Text.nullish(),
  })
  .openapi('PostgresCreateRequest');

export const TestedConnection = z.record(z.string(), z.boolean()).openapi({ example: { success: true } });

export const IntegrationCatalogResponse = z
  .object({
    id: z.uuid(),
    category: z.enum(SUPERAI_CATEGORIES),
    provider: z.string(),
    name: z.string(),
    display_name: z.string().nullable(),
    description: z.string(),
    credential_types: z.array(CredentialTypeEnum),
    is_plugin: z.boolean(),
    credential_providers: z
      .array(
        z.object({
          is_oauth: z.boolean(),
          name: z.string(),
          credential_schema: z.record(z.string(), z.unknown()).openapi({ description: 'JSON Schema.' }),
        }),
      )
      .nullable(),
  })
  .openapi('IntegrationCatalogResponse');
export type IntegrationCatalogResponse = z.infer<typeof IntegrationCatalogResponse>;

export const ErrorResponse = z
  .object({
    error: z.object({ message: z.string(), code: z.string().nullable(), details: z.null() }),
    request_id: z.string().nullable(),
  })
  .openapi('ErrorResponse');
export type ErrorResponse = z.infer<typeof ErrorResponse>;

const ValidationDetail = z.object({
  loc: z.array(z.union([z.string(), z.int()])),
  msg: z.string(),
  type: z.string(),
});

export const HTTPValidationError = z
  .object({ detail: z.array(ValidationDetail) })
  .openapi('HTTPValidationError');

/** The error responses of every route. */
export const ERRORS = {
  ...errorResponses(ErrorResponse, {
    ...WRITE_ERRORS,
    404: 'Unknown credential.',
    409: 'A credential of this name exists already.',
  }),
  422: jsonOf(HTTPValidationError, 'The request does not match its schema.'),
};
