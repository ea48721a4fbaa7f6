/**
 * Reads FHIRPath text with the parser of fhirpath.js. Runs in the build; at run time only for expressions that the build did not see.
 * @see https://hl7.org/fhirpath/N1/grammar.html
 */
import { createRequire } from 'node:module';
import type { Ast } from './ast.ts';

interface Node {
  readonly type: string;
  readonly text?: string;
  readonly children?: readonly Node[];
}

/** What fhirpath.js offers, narrowed to what is used of it; loaded when first asked for, since it is large. */
interface FhirPathJs {
  parse(expression: string): Node;
  evaluate(resource: unknown, expression: string, variables: Readonly<Record<string, unknown>>): unknown[];
}
export const fhirPathJs = (): FhirPathJs => createRequire(import.meta.url)('fhirpath') as FhirPathJs;

/** Syntax that the tree has no room for (dates, quantities, `$index`). */
export class UnsupportedSyntax extends Error {}

const ESCAPED: Readonly<Record<string, string>> = { r: '\r', n: '\n', t: '\t', f: '\f' };

const unquote = (text: string): string =>
  text
    .slice(1, -1)
    .replace(/\\(u[0-9a-fA-F]{4}|.)/gs, (_, e: string) =>
      e.length === 5 ? String.fromCharCode(Number.parseInt(e.slice(1), 16)) : (ESCAPED[e] ?? e),
    );

function name(node: Node | undefined): string {
  if (node === undefined) throw new UnsupportedSyntax();
  if (node.type === 'QualifiedIdentifier' || node.type === 'TypeSpecifier') return name(node.children?.at(-1));
  if (node.type === 'Identifier') {
    const text = node.text ?? '';
    return text.startsWith('`') ? unquote(text) : text;
  }
  return name(node.children?.[0]);
}

const BINARY = new Set([
  'ImpliesExpression',
  'OrExpression',
  'AndExpression',
  'MembershipExpression',
  'InequalityExpression',
  'EqualityExpression',
  'UnionExpression',
  'AdditiveExpression',
  'MultiplicativeExpression',
]);

function convert(node: Node, from?: Ast): Ast {
  const [first, second] = node.children ?? [];
  const one = (): Node => {
    if (first === undefined) throw new UnsupportedSyntax(node.type);
    return first;
  };
  const two = (): Node => {
    if (second === undefined) throw new UnsupportedSyntax(node.type);
    return second;
  };
  if (BINARY.has(node.type))
    return { k: 'operator', operator: node.text ?? '', left: convert(one()), right: convert(two()) };
  switch (node.type) {
    case 'EntireExpression':
    case 'TermExpression':
    case 'InvocationTerm':
    case 'ParenthesizedTerm':
    case 'LiteralTerm':
    case 'ExternalConstantTerm':
      return convert(one(), from);
    case 'InvocationExpression':
      return convert(two(), convert(one()));
    case 'MemberInvocation':
      return { k: 'member', ...(from ? { from } : {}), name: name(node) };
    case 'ThisInvocation':
      return { k: 'this' };
    case 'FunctionInvocation': {
      const args = one().children?.[1]?.children ?? [];
      return { k: 'call', ...(from ? { from } : {}), name: name(first), args: args.map((a) => convert(a)) };
    }
    case 'TypeExpression':
      return { k: 'call', from: convert(one()), name: node.text ?? '', args: [{ k: 'member', name: name(second) }] };
    case 'IndexerExpression':
      return { k: 'index', from: convert(one()), index: convert(two()) };
    case 'PolarityExpression':
      return node.text === '-' ? { k: 'negate', from: convert(one()) } : convert(one());
    case 'ExternalConstant':
      return { k: 'constant', name: name(node) };
    case 'StringLiteral':
      return { k: 'value', value: unquote(node.text ?? '') };
    case 'BooleanLiteral':
      return { k: 'value', value: node.text === 'true' };
    case 'NumberLiteral':
      return { k: 'value', value: Number(node.text) };
    case 'NullLiteral':
      return { k: 'empty' };
    default:
      throw new UnsupportedSyntax(node.type);
  }
}

/** @throws UnsupportedSyntax for what the tree has no room for; Error when the text is no FHIRPath */
export const parseFhirPath = (expression: string): Ast => convert(fhirPathJs().parse(expression));
