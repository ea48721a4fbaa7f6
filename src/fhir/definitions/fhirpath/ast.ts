/**
 * The syntax tree of a FHIRPath expression, small enough to be kept as JSON in `.build/`.
 * @see https://hl7.org/fhirpath/N1/
 */
export type Ast =
  | { readonly k: 'value'; readonly value: string | number | boolean }
  | { readonly k: 'empty' }
  | { readonly k: 'this' }
  | { readonly k: 'constant'; readonly name: string }
  /** `name` of what stands before it, or of the focus. */
  | { readonly k: 'member'; readonly from?: Ast; readonly name: string }
  | { readonly k: 'call'; readonly from?: Ast; readonly name: string; readonly args: readonly Ast[] }
  | { readonly k: 'operator'; readonly operator: string; readonly left: Ast; readonly right: Ast }
  | { readonly k: 'index'; readonly from: Ast; readonly index: Ast }
  | { readonly k: 'negate'; readonly from: Ast };

/** Whether any part of the tree satisfies the test. */
export function someAst(ast: Ast, test: (part: Ast) => boolean): boolean {
  if (test(ast)) return true;
  switch (ast.k) {
    case 'value':
    case 'empty':
    case 'this':
    case 'constant':
      return false;
    case 'member':
      return ast.from !== undefined && someAst(ast.from, test);
    case 'call':
      return (ast.from !== undefined && someAst(ast.from, test)) || ast.args.some((a) => someAst(a, test));
    case 'operator':
      return someAst(ast.left, test) || someAst(ast.right, test);
    case 'index':
      return someAst(ast.from, test) || someAst(ast.index, test);
    case 'negate':
      return someAst(ast.from, test);
    default:
      return ast satisfies never;
  }
}
