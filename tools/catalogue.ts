/** All tools, in the order of tools/list. */
import type { Tool } from '../src/contract/tool.ts';
import type { ToolContext } from '../src/use/tool_context.ts';
import { call_service } from './call_service.ts';
import { delete_credential } from './delete_credential.ts';
import { get_credential_status } from './get_credential_status.ts';
import { list_services } from './list_services.ts';
import { request_access } from './request_access.ts';
import { store_credential } from './store_credential.ts';
import { test_credential } from './test_credential.ts';
import { update_credentials } from './update_credentials.ts';

export const TOOLS: readonly Tool<ToolContext>[] = [
  store_credential,
  update_credentials,
  get_credential_status,
  list_services,
  delete_credential,
  test_credential,
  call_service,
  request_access,
];
