/** Lists and calls the tools of services, for the APIs that have tools. */

import { type Caller, canUseService } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import type { Service } from '../../contract/service/service.ts';
import type { CallInput, CallOutput, Calls } from '../../contract/use/call.ts';
import type { ServiceCatalogue } from '../../services/catalogue.ts';
import { findTool, fullToolName, type ServiceTool, toolsOf } from '../../services/tools/tools.ts';
import type { Stacks } from '../../vault/stacks/stacks.ts';
import { type JsonObject, toolRequest } from './tool_input.ts';

/** A tool with the service that it is of. */
export interface FoundTool {
  readonly service: Service;
  readonly tool: ServiceTool;
}

export interface ServiceToolsDependencies {
  readonly services: ServiceCatalogue;
  readonly stacks: Pick<Stacks, 'get'>;
  readonly calls: Pick<Calls, 'call'>;
}

export class ServiceTools {
  readonly #parts: ServiceToolsDependencies;

  constructor(parts: ServiceToolsDependencies) {
    this.#parts = parts;
  }

  /** All tools of the services that the caller may use. */
  list(caller: Caller): FoundTool[] {
    return this.#services(caller).flatMap((service) => toolsOf(service).map((tool) => ({ service, tool })));
  }

  /** The enabled tools of a stack, in the order of its services. Throws NOT_FOUND for an unknown stack. */
  async listStack(caller: Caller, stack_id: string): Promise<FoundTool[]> {
    const { services } = await this.#parts.stacks.get(caller, stack_id);
    return services.flatMap(({ service_id, enabled_tools }) => {
      const service = this.#parts.services.find(service_id);
      if (service === undefined) return [];
      return toolsOf(service)
        .filter((tool) => enabled_tools === null || isNamed(service, tool, enabled_tools))
        .map((tool) => ({ service, tool }));
    });
  }

  /** Finds a tool by its UUID or full name. Throws NOT_FOUND; a tool of a service that the caller may not use is not found either. */
  get(caller: Caller, tool_id: string): FoundTool {
    const found = findTool(this.#services(caller), tool_id);
    if (found === undefined) throw noSuchTool();
    return found;
  }

  /** As `get`, among the enabled tools of a stack. */
  async getOfStack(caller: Caller, stack_id: string, tool_id: string): Promise<FoundTool> {
    const found = (await this.listStack(caller, stack_id)).find(({ service, tool }) =>
      isNamed(service, tool, [tool_id]),
    );
    if (found === undefined) throw noSuchTool();
    return found;
  }

  /** Calls a tool with the credential that the stack has for its service. Rejects as `Calls.call`. */
  async call(
    caller: Caller,
    { service, tool }: FoundTool,
    input: JsonObject,
    stack_id?: string,
  ): Promise<CallOutput> {
    const { output } = await this.#parts.calls.call(caller, {
      ...toolRequest(tool, input),
      service_id: service.slug,
      stack_id,
    } as CallInput);
    return output;
  }

  #services(caller: Caller): Service[] {
    return this.#parts.services.list().filter(({ slug }) => canUseService(caller, slug));
  }
}

function isNamed(service: Service, tool: ServiceTool, names: readonly string[]): boolean {
  return names.some((name) => {
    const wanted = name.toLowerCase();
    return wanted === tool.id || wanted === fullToolName(service, tool);
  });
}

function noSuchTool(): VaultError {
  return new VaultError('NOT_FOUND', 'No such tool. List the tools to see their ids.');
}
