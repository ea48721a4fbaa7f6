// Layers: imports only go down (docs/architecture.md). Each rule names the folders it keeps apart.
const layer = (name, from, to, comment) => ({
  name,
  severity: 'error',
  comment,
  from: { path: from },
  to: { path: to },
});

export default {
  forbidden: [
    {
      name: 'no-circular',
      severity: 'error',
      comment: 'No cycles, types aside.',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true, pathNot: '^@medplum/fhirtypes$' } },
    {
      name: 'declared',
      severity: 'error',
      from: { path: '^src' },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown', 'npm-dev'] },
    },
    layer('platform-is-lowest', '^src/platform/', '^src/(?!platform/)', 'platform knows no domain.'),
    layer('core-names-no-product', '^src/fhir/', '^src/(?!fhir/|platform/)', 'The core is definition-driven.'),
    layer(
      'product-below-composition',
      '^src/(resources|operations|demo)/',
      '^src/(cli|main|worker|app|compose)',
      'Declarations are composed, never compose.',
    ),
    layer(
      'domains-keep-apart',
      '^src/(audit|auth|scheduling)/',
      '^src/(?!$1/|fhir/|platform/)',
      'A domain knows the core and the platform, not another domain, nor who composes it.',
    ),
    layer(
      'scheduling-model-is-pure',
      '^src/scheduling/model/',
      '^(?!src/scheduling/model/|node_modules/temporal-polyfill/)',
      'The model computes; it reads, writes and waits for nothing.',
    ),
    layer(
      'nobody-imports-composition',
      '^src/(?!cli/|bench/|main|worker|app|compose)',
      '^src/(main|worker|app|compose|cli/)',
      'Composition roots are imported by one another and tests only.',
    ),
    layer(
      'orm-stays-in-the-store',
      '^src/(?!platform/database/|fhir/store/|cli/make-migration)',
      'node_modules/@mikro-orm',
      'MikroORM: schema and migrations.',
    ),
    layer(
      'hono-stays-at-the-edge',
      '^src/(?!fhir/http/|auth/pages/|app|main|compose|bench/)',
      'node_modules/(hono|@hono)',
      'Hono: edge only.',
    ),
    layer(
      'bullmq-stays-in-the-queue',
      '^src/(?!platform/queue|platform/rate-store|worker)',
      'node_modules/(bullmq|ioredis|@bull-board)',
      'BullMQ: queue only; Redis: there, and where requests are counted.',
    ),
    layer('no-barrels', '^src', '/index\\.ts$', 'No index re-exports.'),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.mjs', '.js', '.json'],
    },
  },
};
