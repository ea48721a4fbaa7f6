// `npm run guards`: takes each guard of access away in a copy of the project, one after the other, and runs the tests that should notice. A guard whose
// absence nobody notices fails the run. `--only word` runs those whose name has the word. Not part of CI: half an hour.
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

const MATRIX = 'tests/auth/access-matrix.test.ts';
const OTHERS = 'tests/auth/access-others.test.ts';
const STAFF = 'tests/auth/access-staff.test.ts';
const PATIENT = 'tests/auth/access-patient.test.ts';
const WRITE = 'tests/auth/access-write.test.ts';
const SCOPES = 'tests/auth/access-scopes.test.ts';
const ANYBODY = 'tests/auth/access-anonymous.test.ts';
const WORLDS = 'tests/auth/two-world.test.ts';
const UPDATE = 'tests/http/update/update.test.ts';

/** name, file, what stands there, what stands there instead, who should notice. */
const GUARDS = [
  [
    'rows: the predicate of every alias',
    'src/fhir/search/sql.ts',
    'and([...conditions, scope.visible])',
    'and([...conditions])',
    PATIENT,
  ],
  [
    'rows: read by id',
    'src/fhir/store/visible.ts',
    "access.rows(type, 'r');",
    "(void access, void type, raw('true'));",
    MATRIX,
  ],
  ['history: the current version', 'src/fhir/store/visible.ts', "and ${access.rows(type, 'r')})`", ')`', PATIENT],
  [
    'history: the version itself',
    'src/fhir/store/visible-history.ts',
    'if (versionVisible(version, access) && !visit',
    'if (!visit',
    PATIENT,
  ],
  [
    'vread: the version itself',
    'src/fhir/store/reader.ts',
    'return found && versionVisible(found, access) ?',
    'return found ?',
    PATIENT,
  ],
  [
    'write: what is written',
    'src/fhir/store/transaction.ts',
    'if (outside) throw notAllowed(outside.type, access.act);\n  };\n\n  const tx',
    'void outside;\n  };\n\n  const tx',
    WRITE,
  ],
  [
    'write: the row that is there',
    'src/fhir/interaction/update.ts',
    "engine.repository.read(type, id, ctx.access.to('update'));\n    if",
    "engine.repository.read(type, id, ctx.access.to('read'));\n    if",
    WRITE,
  ],
  [
    'write: foreign is missing',
    'src/fhir/interaction/write.ts',
    'if (seen.some((found) => found.has(name))) throw',
    'if (seen) throw',
    MATRIX,
  ],
  [
    'write: the reply shows what may be read',
    'src/fhir/interaction/write.ts',
    'if (!mayRead(access, written)) return',
    'if (!mayRead(access, written) && !access) return',
    WRITE,
  ],
  [
    'write: what is named',
    'src/fhir/interaction/write.ts',
    ": await reader.existing([...new Set(targets.map((t) => t.target))], access.to('refer'));",
    ': new Set(targets.map((t) => t.target));',
    WRITE,
  ],
  [
    'write: ids are the server’s',
    'src/fhir/interaction/update.ts',
    'if (current === undefined) demandOwnIds(ctx.access, type, id);',
    '',
    WRITE,
  ],
  [
    'write: the id of the body',
    'src/fhir/interaction/update.ts',
    'if (claimed === id) return;',
    'if (claimed !== undefined) return;',
    UPDATE,
  ],
  [
    'write: what is shown in part',
    'src/fhir/interaction/write.ts',
    "if (veil && veil.shown(before.content) !== before.content) throw notAllowed(before.type, 'update');",
    'void veil;',
    OTHERS,
  ],
  [
    'patch: what it tells',
    'src/fhir/interaction/patch.ts',
    "if (telling && !to('read').admits(type, tree))",
    "if (telling && !to('read'))",
    WRITE,
  ],
  ['page links: for those who see the same', 'src/fhir/search/search.ts', '\\n${ctx.access.key}`', '`', MATRIX],
  [
    'anonymous: interactions',
    'src/auth/access/anonymous.ts',
    'if (!ANONYMOUS.has(interaction)) throw unauthorized();',
    'void ANONYMOUS;',
    ANYBODY,
  ],
  ['anonymous: the directory', 'src/auth/access/policy.ts', "  Schedule: 'impersonal',\n", '', ANYBODY],
  [
    'scopes: letters',
    'src/auth/access/token-access.ts',
    'if (!has(type, letter))',
    'if (!has(type, letter) && type === undefined)',
    SCOPES,
  ],
  ['scopes: letters of rows', 'src/auth/access/rights.ts', '&& scope.letters.has(letter))', ')', SCOPES],
  [
    'scopes: levels',
    'src/auth/access/rights.ts',
    "(level === 'system') === (rights.kind === 'system')",
    'Boolean(level) && Boolean(rights)',
    SCOPES,
  ],
  [
    'scopes: the patient in context',
    'src/auth/access/rights.ts',
    '!(worksHere(rights) || rights.patients.includes(patient))',
    '!worksHere',
    SCOPES,
  ],
  [
    'scopes: no filter by what is hidden',
    'src/auth/access/rights.ts',
    "if (each.veil && filtered.some((f) => each.veil?.hides(f.param) !== 'none')) continue;",
    '',
    OTHERS,
  ],
  [
    'patients: what is another’s too',
    'src/auth/access/rights.ts',
    "const others = alone ? [impersonal(engine, ['Patient'], type, names)] : [];",
    'const others: OwnCondition[] = alone && names.length === 0 ? [impersonal(engine, [], type)] : [];',
    WRITE,
  ],
  ['patients: no groups', 'src/auth/access/policy.ts', "new Set(['Group'])", 'new Set([])', STAFF],
  ['relations: active', 'src/auth/access/acts-for.ts', 'person.active === false ||', '', STAFF],
  ['relations: the end of the period', 'src/auth/access/acts-for.ts', '|| nowMs >= ends)', ')', STAFF],
  ['relations: the beginning of the period', 'src/auth/access/acts-for.ts', '|| nowMs < begins', '', STAFF],
  ['physicians: 24 months', 'src/auth/access/policy.ts', 'SEEN_MONTHS = 24', 'SEEN_MONTHS = 48', MATRIX],
  [
    'physicians: appointments that were called off',
    'src/auth/access/policy.ts',
    "'pending,booked,",
    "'pending,cancelled,booked,",
    MATRIX,
  ],
  [
    'physicians: whose appointment it is',
    'src/auth/access/rights.ts',
    "    ['actor', practitioners.join()],\n    ['status'",
    "    ['status'",
    MATRIX,
  ],
  [
    'veil: other people',
    'src/fhir/store/veil.ts',
    'if (!mayNameOthers(text)) return text;',
    'if (mayNameOthers(text) || true) return text;',
    OTHERS,
  ],
  [
    'veil: extensions',
    'src/fhir/store/veil.ts',
    'inner.filter((each) => !isForeign(options, each))',
    'inner.filter((each) => isForeign(options, each) || true)',
    OTHERS,
  ],
  ['veil: free texts', 'src/fhir/store/veil.ts', '.filter(([name]) => !FREE_TEXTS.has(name))', '', OTHERS],
  [
    'veil: references of others',
    'src/fhir/store/veil.ts',
    'return own.has(local) || open.has(typeOf(local));',
    'return own.has(local) || local.length > 0;',
    OTHERS,
  ],
  ['veil: elements', 'src/fhir/store/veil.ts', "kept.has(name.replace(/^_/, ''))", 'kept.has(name) || true', STAFF],
  [
    'veil: searches',
    'src/fhir/search/plan.ts',
    "if (hides === 'none') return found;",
    'if (hides) return found;',
    OTHERS,
  ],
  [
    'veil: searches by what is missing',
    'src/fhir/search/plan.ts',
    "...(lacks ? { sql: raw('true') } : {})",
    '...(lacks ? {} : {})',
    STAFF,
  ],
  ['veil: order', 'src/fhir/search/order.ts', "?? 'none') !== 'none')", "?? 'none') === undefined)", OTHERS],
  [
    'veil: _has',
    'src/fhir/search/plan.ts',
    "if (context.access.veil(condition.type)?.hides(param) === 'all') return NONE;",
    '',
    STAFF,
  ],
  [
    'veil: _revinclude',
    'src/fhir/search/include.ts',
    "if (run.access.veil(source)?.hides(param) === 'all') continue;",
    '',
    STAFF,
  ],
  [
    'veil: compartments',
    'src/fhir/search/plan.ts',
    'exact: condition.params.every(',
    'exact: Boolean(veil) || condition.params.every(',
    WORLDS,
  ],
];

const { values } = parseArgs({ options: { only: { type: 'string', default: '' } } });
const root = path.resolve(import.meta.dirname, '..');
const copy = mkdtempSync(path.join(tmpdir(), 'kairos-guards-'));
for (const name of [
  'src',
  'tests',
  '.ci',
  '.build',
  'fhir-profiles',
  'migrations',
  'docs',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'vitest.config.ts',
  'README.md',
  'Dockerfile',
  'docker-compose.yml',
])
  cpSync(path.join(root, name), path.join(copy, name), { recursive: true });
symlinkSync(path.join(root, 'node_modules'), path.join(copy, 'node_modules'));

const test = (file) =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', '--bail', '1', file], {
      cwd: copy,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (text += String(chunk)));
    child.on('close', (code) =>
      resolve({
        ok: code === 0,
        ran: /Tests .*\d+ (?:passed|failed)/.test(text.replaceAll(/\u001b\[\d+m/g, '')),
        text,
      }),
    );
  });

let unnoticed = 0;
let count = 0;
try {
  for (const [name, file, there, instead, tests] of GUARDS) {
    if (!name.includes(values.only)) continue;
    const at = path.join(copy, file);
    const text = readFileSync(at, 'utf8');
    if (!text.includes(there)) {
      console.log(`MISSING  ${name}: ${file} holds no ${there}`);
      unnoticed++;
      continue;
    }
    count++;
    writeFileSync(
      at,
      text.replace(there, () => instead),
    );
    const { ok, ran, text: said } = await test(tests);
    writeFileSync(at, text);
    const [why = ''] = /(?:FAIL|×).*/.exec(said.replaceAll(/\u001b\[\d+m/g, '')) ?? [];
    if (ok || !ran) unnoticed++;
    console.log(
      `${ok ? 'UNNOTICED' : ran ? 'noticed  ' : 'DID NOT RUN'}  ${name}  ${ok ? '' : why.trim().slice(0, 120)}`,
    );
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
console.log(`${count} guards taken away, ${count - unnoticed} noticed.`);
process.exitCode = unnoticed === 0 && count > 0 ? 0 : 1;
