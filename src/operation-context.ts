/** What operations may use besides the engine: the use cases of the domains, which are joined after it. */
import type { AuthParts } from './auth/parts.ts';
import type { OperationDeclaration } from './fhir/operation.ts';

export interface OperationContext {
  readonly identity: AuthParts;
}

/** Asked when an operation is called: by then everything is joined. */
export type UseContext = () => OperationContext;

/** What a file in `src/operations/` exports: a declaration, or how one is made of the context. */
export type OperationModule = OperationDeclaration | ((use: UseContext) => OperationDeclaration);

export const declareOperations = (
  modules: readonly OperationModule[],
  use: UseContext,
): readonly OperationDeclaration[] => modules.map((made) => (typeof made === 'function' ? made(use) : made));
