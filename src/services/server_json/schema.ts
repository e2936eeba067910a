/**
 * The parts of an MCP Registry `server.json` that describe a server's credentials. Other parts are ignored. Format:
 * https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json
 */
import * as z from 'zod';

const plain = z.union([z.string(), z.number(), z.boolean()]).transform(String);

export const ServerInput = z.object({
  description: z.string().optional(),
  isRequired: z.boolean().optional(),
  isSecret: z.boolean().optional(),
  format: z.string().optional(),
  default: plain.optional(),
  placeholder: plain.optional(),
  /** A fixed value; the user cannot change it. `{name}` in it is replaced by a variable. */
  value: plain.optional(),
  choices: z.array(plain).max(100).optional(),
});
export type ServerInput = z.infer<typeof ServerInput>;

const Variables = z.record(z.string(), ServerInput);
export type ServerVariables = z.infer<typeof Variables>;

/** An environment variable or a header. */
export const ServerKeyValue = ServerInput.extend({
  name: z.string().min(1).max(128),
  variables: Variables.optional(),
});
export type ServerKeyValue = z.infer<typeof ServerKeyValue>;

export const ServerArgument = ServerInput.extend({
  name: z.string().max(128).optional(),
  valueHint: z.string().max(128).optional(),
  variables: Variables.optional(),
});
export type ServerArgument = z.infer<typeof ServerArgument>;

export const ServerPackage = z.object({
  environmentVariables: z.array(ServerKeyValue).max(200).optional(),
  packageArguments: z.array(ServerArgument).max(200).optional(),
  runtimeArguments: z.array(ServerArgument).max(200).optional(),
});
export type ServerPackage = z.infer<typeof ServerPackage>;

export const ServerRemote = z.object({
  type: z.string(),
  url: z.string().max(2_000),
  headers: z.array(ServerKeyValue).max(50).optional(),
  variables: Variables.optional(),
});
export type ServerRemote = z.infer<typeof ServerRemote>;

/** Reverse-DNS namespace, one slash, name. */
export const SERVER_NAME_PATTERN = /^[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?\/[A-Za-z0-9._-]+$/;

export const ServerJson = z.object({
  name: z
    .string()
    .max(200)
    .regex(SERVER_NAME_PATTERN, 'must be a reverse-DNS name with one slash, such as io.github.user/weather'),
  title: z.string().optional(),
  description: z.string().optional(),
  websiteUrl: z.string().optional(),
  packages: z.array(ServerPackage).max(50).optional(),
  remotes: z.array(ServerRemote).max(20).optional(),
});
export type ServerJson = z.infer<typeof ServerJson>;
