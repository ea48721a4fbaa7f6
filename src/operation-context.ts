/** What declarations may use besides the engine: the use cases of the domains, which are joined after it. */
import type { AuthParts } from './auth/parts.ts';
import type { OperationDeclaration } from './fhir/operation.ts';
import type { ResourceDeclaration } from './fhir/resource.ts';
import type { Scheduling } from './scheduling/scheduling.ts';

export interface OperationContext {
  readonly identity: AuthParts;
  readonly scheduling: Scheduling;
}

/** Asked when an operation is called, or a change made: by then everything is joined. */
export type UseContext = () => OperationContext;

/** What a file in `src/operations/` or `src/resources/` exports: a declaration, or how one is made of the context. */
type Declared<Declaration> = Declaration | ((use: UseContext) => Declaration);
export type OperationModule = Declared<OperationDeclaration>;
export type ResourceModule = Declared<ResourceDeclaration>;

const unjoined: UseContext = () => {
  throw new Error('A declaration was used before everything was joined');
};

const declare = <D extends object>(modules: readonly Declared<D>[], use: UseContext): readonly D[] =>
  modules.map((made) => (typeof made === 'function' ? made(use) : made));

export const declareOperations = (
  modules: readonly OperationModule[],
  use: UseContext,
): readonly OperationDeclaration[] => declare(modules, use);

/** @param use not needed by those who only look at tables and columns */
export const declareResources = (
  modules: readonly ResourceModule[],
  use: UseContext = unjoined,
): readonly ResourceDeclaration[] => declare(modules, use);
