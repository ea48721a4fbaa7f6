/** The policy as the tables of docs/access.md: its rules, and what comes of them for each type and role. */
import { POLICY, ROLES_OF_POLICY, WHERE } from './policy.ts';

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

/** Rule by rule. */
export const rulesTable = (): string =>
  table(
    ['who', 'may', 'of', 'which rows'],
    POLICY.map(({ who, types, may, where, elements }) => [
      who,
      `\`${may}\``,
      types.join(', '),
      elements ? `${where}, of them only ${elements.join(', ')}` : where,
    ]),
  );

/** What the names of rows mean. */
export const rowsTable = (): string =>
  table(
    ['rows', 'meaning'],
    Object.entries(WHERE).map(([where, meaning]) => [where, meaning]),
  );

/** Type by type. @param types those that are served */
export const typesTable = (types: readonly string[]): string =>
  table(
    ['type', ...ROLES_OF_POLICY],
    types.map((type) => [
      type,
      ...ROLES_OF_POLICY.map((role) =>
        POLICY.filter((r) => r.who === role && r.types.includes(type))
          .map(({ may, where, elements }) => `\`${may}\` ${where}${elements ? ' (some elements)' : ''}`)
          .join(', '),
      ),
    ]),
  );
