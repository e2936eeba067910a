/**
 * The request and response schemas of the Toolzz dialect, for validation and for OpenAPI. Key order and spellings
 * (`maxLenght`, `descrition`) are those of that API.
 */
import { z } from '@hono/zod-openapi';
import { FIELDS_PER_CREDENTIAL_MAX, NAME_MAX_CHARACTERS } from '../../contract/limits.ts';
import { errorResponses, WRITE_ERRORS } from '../openapi/responses.ts';
import { isPlainObject, requiredWith } from '../openapi/schemas.ts';
import { REQUIRED } from './errors.ts';

export const INTEGRATION_TYPES = ['llm', 'voice', 'monetization', 'dataset', 'analytics', 'phone'] as const;
export type IntegrationType = (typeof INTEGRATION_TYPES)[number];

const required = requiredWith(REQUIRED);

const Id = z.guid(required);
const Name = z.string(required).min(1).max(NAME_MAX_CHARACTERS);

/** Not a zod record, which would drop a field named `__proto__`. */
const Fields = z
  .custom<Readonly<Record<string, unknown>>>(isPlainObject, 'must be a list of objects')
  .openapi({
    type: 'object',
    additionalProperties: { type: 'string' },
    example: { api_key: '...' },
    description: 'Field to value. The names are those of integration.form; api_key is the one value of any.',
  });

export const CredentialCreate = z
  .object({
    name: Name,
    userId: Id,
    unityId: Id,
    integrationId: Id,
    status: z.boolean().default(true),
    credentials: z.array(Fields, required).min(1).max(FIELDS_PER_CREDENTIAL_MAX),
  })
  .openapi('ToolzzCredentialCreate');
export type CredentialCreate = z.infer<typeof CredentialCreate>;

/** Clients send back `credentials: {}` from a response. It changes nothing. */
const NoValues = z
  .custom<unknown>(
    (given) => typeof given === 'object' && given !== null && Object.keys(given).length === 0,
    'cannot be changed here: create a new credential with the new values',
  )
  .openapi({ type: 'object' });

export const CredentialUpdate = z
  .object({
    name: Name,
    userId: Id,
    unityId: Id,
    integrationId: Id,
    secretId: z.guid().nullish(),
    status: z.boolean(required),
    credentials: NoValues.optional(),
  })
  .openapi('ToolzzCredentialUpdate');

const Time = z.iso.datetime();

const Icon = z
  .object({
    id: z.uuid(),
    createdAt: Time,
    updatedAt: Time,
    institutionId: z.uuid(),
    type: z.string(),
    fileName: z.string(),
    internalStorageUrl: z.string(),
    url: z.url(),
    size: z.int().openapi({ description: 'In bytes.' }),
    extension: z.string(),
    maskName: z.string(),
  })
  .openapi('ToolzzIcon');
export type Icon = z.infer<typeof Icon>;

const FormField = z.object({
  name: z.string(),
  type: z.string(),
  label: z.string(),
  maxLenght: z.int(),
  required: z.boolean(),
});
export type FormField = z.infer<typeof FormField>;

/** Lists have both spellings of the length. */
const ListedFormField = FormField.extend({ maxLength: z.int(), description: z.string() });

const integrationShape = {
  id: z.uuid(),
  name: z.string(),
  iconId: z.uuid(),
  type: z.enum(INTEGRATION_TYPES),
  status: z.boolean(),
  validationEndpoint: z.string(),
  slug: z.string(),
  form: z.array(FormField),
  createdAt: Time,
  updatedAt: Time,
};
const Integration = z.object({ ...integrationShape, icon: Icon }).openapi('ToolzzIntegration');
export type Integration = z.infer<typeof Integration>;

const ListedIntegration = Integration.extend({ form: z.array(ListedFormField) });

const credentialShape = {
  id: z.uuid(),
  name: z.string(),
  userId: z.uuid(),
  unityId: z.uuid(),
  integrationId: z.uuid(),
  secretId: z.uuid(),
  status: z.boolean(),
  virtualKey: z.string(),
};
const times = { createdAt: Time, updatedAt: Time };

/** A credential in a list by type or integration. */
const BareCredential = z.object({ ...credentialShape, ...times });
export type BareCredential = z.infer<typeof BareCredential>;

const NoCredentials = z.object({}).openapi({ description: 'Always empty.' });

export const Credential = z
  .object({ ...credentialShape, credentials: NoCredentials, ...times, integration: Integration })
  .openapi('ToolzzCredential');
export type Credential = z.infer<typeof Credential>;

export const WrittenCredential = z
  .object({ message: z.string(), ...Credential.shape })
  .openapi('ToolzzWrittenCredential');

const ListedCredential = Credential.extend({ integration: ListedIntegration });
export type ListedCredential = z.infer<typeof ListedCredential>;
export const UnityCredentials = z.object({ items: z.array(ListedCredential) });

export const CredentialsOfIntegrations = z.array(
  z.object({ credentials: BareCredential, integration: Integration }),
);

export const IntegrationsStatus = z.array(
  z.object({
    integrations: z.object({
      ...integrationShape,
      form: z.array(FormField.extend({ descrition: z.string() })),
    }),
    icon: Icon,
  }),
);

export const Message = z.object({ message: z.string() }).openapi('ToolzzMessage');

export const CredentialPath = z.object({
  id: z.guid().openapi({ param: { name: 'id', in: 'path' } }),
});
const unity = { unityId: z.guid().openapi({ param: { name: 'unityId', in: 'path' } }) };
export const UnityPath = z.object(unity);
export const UnityTypePath = z.object({
  ...unity,
  type: z.enum(INTEGRATION_TYPES).openapi({ param: { name: 'type', in: 'path' } }),
});
export const UnityIntegrationPath = z.object({
  ...unity,
  integrationId: z.guid().openapi({ param: { name: 'integrationId', in: 'path' } }),
});

/** The error responses of every route. */
export const ERRORS = errorResponses(Message, {
  ...WRITE_ERRORS,
  404: 'Unknown credential, user, unit or integration.',
  409: 'A credential of this name exists already.',
});

export const ValidationRequest = z
  .object({ credentialId: z.string(required).max(64) })
  .openapi('ValidationRequest');

/** `null`: could not be determined. */
export const Validation = z
  .object({ valid: z.boolean().nullable(), reason: z.string(), message: z.string() })
  .openapi('Validation');
