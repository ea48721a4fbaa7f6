import { Migration } from '@mikro-orm/migrations';

/**
 * The record of every access: compact rows by month, the FHIR AuditEvent as a view of them, and the seals that make changes show.
 * @see https://profiles.ihe.net/ITI/BALP/
 */
export class Migration20261128000000_audit extends Migration {
  override up(): void {
    this.addSql(`create table "audit_log" (
      "id" text collate "C" not null,
      "recorded" timestamptz(3) not null,
      "xid" xid8 not null default pg_current_xact_id(),
      "kind" text collate "C" not null,
      "outcome" smallint not null,
      "actor" text collate "C",
      "person" text collate "C",
      "account" text collate "C",
      "roles" text[] collate "C",
      "client" text collate "C",
      "address" text collate "C",
      "about" boolean not null default false,
      "patients" text[] collate "C",
      "entities" text[] collate "C",
      "detail" text collate "C",
      "request" text collate "C",
      "query" text collate "C",
      primary key ("id", "recorded")) partition by range ("recorded")`);
    // Whatever the time: no row may fail because nobody made its month.
    this.addSql(`create table "audit_log_default" partition of "audit_log" default`);
    this.addSql(`create index "audit_log_xid" on "audit_log" ("xid", "id")`);
    this.addSql(`create index "audit_log_recorded" on "audit_log" ("recorded", "id")`);
    this.addSql(
      `create index "audit_log_patients" on "audit_log" using gin ("patients") where "patients" is not null`,
    );
    this.addSql(
      `create index "audit_log_entities" on "audit_log" using gin ("entities") where "entities" is not null`,
    );
    this.addSql(`create table "audit_seal" (
      "n" bigint primary key,
      "from_xid" xid8 not null,
      "to_xid" xid8 not null,
      "count" integer not null,
      "leaves" bytea not null,
      "root" bytea not null,
      "prev" bytea not null,
      "sealed_at" timestamptz(3) not null,
      "hash" bytea not null,
      "signature" bytea not null)`);
    this.addSql(`alter table "audit_seal" alter column "leaves" set storage external`);

    // What the kinds of events mean in codes, in the forms that searches compare (src/audit/kinds.ts).
    this.addSql(`create table "audit_kind" (
      "kind" text collate "C" primary key,
      "action" text collate "C" not null,
      "type" text[] collate "C" not null,
      "subtype" text[] collate "C" not null,
      "detail_system" text collate "C")`);
    this.addSql(`insert into "audit_kind" values
      ('read', 'R', array['http://terminology.hl7.org/CodeSystem/audit-event-type|', 'rest', 'http://terminology.hl7.org/CodeSystem/audit-event-type|rest'], array['http://hl7.org/fhir/restful-interaction|', 'read', 'http://hl7.org/fhir/restful-interaction|read'], 'https://kairos.example/fhir/CodeSystem/operation'),
      ('vread', 'R', array['http://terminology.hl7.org/CodeSystem/audit-event-type|', 'rest', 'http://terminology.hl7.org/CodeSystem/audit-event-type|rest'], array['http://hl7.org/fhir/restful-interaction|', 'vread', 'http://hl7.org/fhir/restful-interaction|vread'], 'https://kairos.example/fhir/CodeSystem/operation'),
      ('history-instance', 'R', array['http://terminology.hl7.org/CodeSystem/audit-event-type|', 'rest', 'http://terminology.hl7.org/CodeSystem/audit-event-type|rest'], array['http://hl7.org/fhir/restful-interaction|', 'history', 'http://hl7.org/fhir/restful-interaction|history', 'http://hl7.org/fhir/restful-interaction|', 'history-instance', 'http://hl7.org/fhir/restful-interaction|history-instance'], 'https://kairos.example/fhir/CodeSystem/operation'),
      ('history-type', 'R', array['http://terminology.hl7.org/CodeSystem/audit-event-type|', 'rest', 'http://terminology.hl7.org/CodeSystem/audit-event-type|rest'], array['http://hl7.org/fhir/restful-interaction|', 'history', 'http://hl7.org/fhir/restful-interaction|history', 'http://hl7.org/fhir/restful-interaction|', 'history-type', 'http://hl7.org/fhir/restful-interaction|history-type'], 'https://kairos.example/fhir/CodeSystem/operation'),
      ('history-system', 'R', array['http://terminology.hl7.org/CodeSystem/audit-event-type|', 'rest', 'http://terminology.hl7.org/CodeSystem/audit-event-type|rest'], array['http://hl7.org/fhir/restful-interaction|', 'history', 'http://hl7.org/fhir/restful-interaction|history', 'http://hl7.org/fhir/restful-interaction|', 'history-system', 'http://hl7.org/fhir/restful-interaction|history-system'], 'https://kairos.example/fhir/CodeSystem/operation'),
      ('search-type', 'E', array['http://terminology.hl7.org/CodeSystem/audit-event-type|', 'rest', 'http://terminology.hl7.org/CodeSystem/audit-event-type|rest'], array['http://hl7.org/fhir/restful-interaction|', 'search', 'http://hl7.org/fhir/restful-interaction|search', 'http://hl7.org/fhir/restful-interaction|', 'search-type', 'http://hl7.org/fhir/restful-interaction|search-type'], 'https://kairos.example/fhir/CodeSystem/operation'),
      ('search-system', 'E', array['http://terminology.hl7.org/CodeSystem/audit-event-type|', 'rest', 'http://terminology.hl7.org/CodeSystem/audit-event-type|rest'], array['http://hl7.org/fhir/restful-interaction|', 'search', 'http://hl7.org/fhir/restful-interaction|search', 'http://hl7.org/fhir/restful-interaction|', 'search-system', 'http://hl7.org/fhir/restful-interaction|search-system'], 'https://kairos.example/fhir/CodeSystem/operation'),
      ('create', 'C', array['http://terminology.hl7.org/CodeSystem/audit-event-type|', 'rest', 'http://terminology.hl7.org/CodeSystem/audit-event-type|rest'], array['http://hl7.org/fhir/restful-interaction|', 'create', 'http://hl7.org/fhir/restful-interaction|create'], 'https://kairos.example/fhir/CodeSystem/operation'),
      ('update', 'U', array['http://terminology.hl7.org/CodeSystem/audit-event-type|', 'rest', 'http://terminology.hl7.org/CodeSystem/audit-event-type|rest'], array['http://hl7.org/fhir/restful-interaction|', 'update', 'http://hl7.org/fhir/restful-interaction|update'], 'https://kairos.example/fhir/CodeSystem/operation'),
      ('patch', 'U', array['http://terminology.hl7.org/CodeSystem/audit-event-type|', 'rest', 'http://terminology.hl7.org/CodeSystem/audit-event-type|rest'], array['http://hl7.org/fhir/restful-interaction|', 'patch', 'http://hl7.org/fhir/restful-interaction|patch'], 'https://kairos.example/fhir/CodeSystem/operation'),
      ('delete', 'D', array['http://terminology.hl7.org/CodeSystem/audit-event-type|', 'rest', 'http://terminology.hl7.org/CodeSystem/audit-event-type|rest'], array['http://hl7.org/fhir/restful-interaction|', 'delete', 'http://hl7.org/fhir/restful-interaction|delete'], 'https://kairos.example/fhir/CodeSystem/operation'),
      ('capabilities', 'R', array['http://terminology.hl7.org/CodeSystem/audit-event-type|', 'rest', 'http://terminology.hl7.org/CodeSystem/audit-event-type|rest'], array['http://hl7.org/fhir/restful-interaction|', 'capabilities', 'http://hl7.org/fhir/restful-interaction|capabilities'], 'https://kairos.example/fhir/CodeSystem/operation'),
      ('operation', 'E', array['http://terminology.hl7.org/CodeSystem/audit-event-type|', 'rest', 'http://terminology.hl7.org/CodeSystem/audit-event-type|rest'], array['http://hl7.org/fhir/restful-interaction|', 'operation', 'http://hl7.org/fhir/restful-interaction|operation'], 'https://kairos.example/fhir/CodeSystem/operation'),
      ('batch', 'E', array['http://terminology.hl7.org/CodeSystem/audit-event-type|', 'rest', 'http://terminology.hl7.org/CodeSystem/audit-event-type|rest'], array['http://hl7.org/fhir/restful-interaction|', 'batch', 'http://hl7.org/fhir/restful-interaction|batch'], 'https://kairos.example/fhir/CodeSystem/operation'),
      ('transaction', 'E', array['http://terminology.hl7.org/CodeSystem/audit-event-type|', 'rest', 'http://terminology.hl7.org/CodeSystem/audit-event-type|rest'], array['http://hl7.org/fhir/restful-interaction|', 'transaction', 'http://hl7.org/fhir/restful-interaction|transaction'], 'https://kairos.example/fhir/CodeSystem/operation'),
      ('find', 'C', array['http://terminology.hl7.org/CodeSystem/audit-event-type|', 'rest', 'http://terminology.hl7.org/CodeSystem/audit-event-type|rest'], array['http://hl7.org/fhir/restful-interaction|', 'create', 'http://hl7.org/fhir/restful-interaction|create', 'urn:ihe:event-type-code|', 'iti-115', 'urn:ihe:event-type-code|iti-115'], null),
      ('hold', 'C', array['http://terminology.hl7.org/CodeSystem/audit-event-type|', 'rest', 'http://terminology.hl7.org/CodeSystem/audit-event-type|rest'], array['http://hl7.org/fhir/restful-interaction|', 'create', 'http://hl7.org/fhir/restful-interaction|create', 'urn:ihe:event-type-code|', 'iti-116', 'urn:ihe:event-type-code|iti-116'], null),
      ('book', 'C', array['http://terminology.hl7.org/CodeSystem/audit-event-type|', 'rest', 'http://terminology.hl7.org/CodeSystem/audit-event-type|rest'], array['http://hl7.org/fhir/restful-interaction|', 'create', 'http://hl7.org/fhir/restful-interaction|create', 'urn:ihe:event-type-code|', 'iti-117', 'urn:ihe:event-type-code|iti-117'], null),
      ('other', 'E', array['http://dicom.nema.org/resources/ontology/DCM|', '110100', 'http://dicom.nema.org/resources/ontology/DCM|110100'], array['https://kairos.example/fhir/CodeSystem/audit-event|', 'request', 'https://kairos.example/fhir/CodeSystem/audit-event|request'], 'https://kairos.example/fhir/CodeSystem/audit-event'),
      ('denied', 'E', array['http://dicom.nema.org/resources/ontology/DCM|', '110113', 'http://dicom.nema.org/resources/ontology/DCM|110113'], array['https://profiles.ihe.net/ITI/BALP/CodeSystem/AuthZsubType|', 'authz-role', 'https://profiles.ihe.net/ITI/BALP/CodeSystem/AuthZsubType|authz-role'], 'http://hl7.org/fhir/restful-interaction'),
      ('login', 'E', array['http://dicom.nema.org/resources/ontology/DCM|', '110114', 'http://dicom.nema.org/resources/ontology/DCM|110114'], array['http://dicom.nema.org/resources/ontology/DCM|', '110122', 'http://dicom.nema.org/resources/ontology/DCM|110122', 'https://kairos.example/fhir/CodeSystem/audit-event|', 'login', 'https://kairos.example/fhir/CodeSystem/audit-event|login'], 'https://kairos.example/fhir/CodeSystem/audit-event'),
      ('logout', 'E', array['http://dicom.nema.org/resources/ontology/DCM|', '110114', 'http://dicom.nema.org/resources/ontology/DCM|110114'], array['http://dicom.nema.org/resources/ontology/DCM|', '110123', 'http://dicom.nema.org/resources/ontology/DCM|110123', 'https://kairos.example/fhir/CodeSystem/audit-event|', 'logout', 'https://kairos.example/fhir/CodeSystem/audit-event|logout'], 'https://kairos.example/fhir/CodeSystem/audit-event'),
      ('token', 'E', array['http://dicom.nema.org/resources/ontology/DCM|', '110114', 'http://dicom.nema.org/resources/ontology/DCM|110114'], array['https://kairos.example/fhir/CodeSystem/audit-event|', 'token-issued', 'https://kairos.example/fhir/CodeSystem/audit-event|token-issued'], 'https://kairos.example/fhir/CodeSystem/audit-event'),
      ('refused', 'E', array['http://dicom.nema.org/resources/ontology/DCM|', '110113', 'http://dicom.nema.org/resources/ontology/DCM|110113'], array['https://kairos.example/fhir/CodeSystem/audit-event|', 'token-refused', 'https://kairos.example/fhir/CodeSystem/audit-event|token-refused'], 'https://kairos.example/fhir/CodeSystem/audit-event'),
      ('consent', 'E', array['http://dicom.nema.org/resources/ontology/DCM|', '110113', 'http://dicom.nema.org/resources/ontology/DCM|110113'], array['https://kairos.example/fhir/CodeSystem/audit-event|', 'consent', 'https://kairos.example/fhir/CodeSystem/audit-event|consent'], 'https://kairos.example/fhir/CodeSystem/audit-event'),
      ('revoked', 'E', array['http://dicom.nema.org/resources/ontology/DCM|', '110113', 'http://dicom.nema.org/resources/ontology/DCM|110113'], array['https://kairos.example/fhir/CodeSystem/audit-event|', 'grant-revoked', 'https://kairos.example/fhir/CodeSystem/audit-event|grant-revoked'], 'https://kairos.example/fhir/CodeSystem/audit-event'),
      ('client', 'E', array['http://dicom.nema.org/resources/ontology/DCM|', '110113', 'http://dicom.nema.org/resources/ontology/DCM|110113'], array['http://dicom.nema.org/resources/ontology/DCM|', '110136', 'http://dicom.nema.org/resources/ontology/DCM|110136', 'https://kairos.example/fhir/CodeSystem/audit-event|', 'client-changed', 'https://kairos.example/fhir/CodeSystem/audit-event|client-changed'], 'https://kairos.example/fhir/CodeSystem/audit-event'),
      ('account', 'E', array['http://dicom.nema.org/resources/ontology/DCM|', '110113', 'http://dicom.nema.org/resources/ontology/DCM|110113'], array['http://dicom.nema.org/resources/ontology/DCM|', '110137', 'http://dicom.nema.org/resources/ontology/DCM|110137', 'https://kairos.example/fhir/CodeSystem/audit-event|', 'account-changed', 'https://kairos.example/fhir/CodeSystem/audit-event|account-changed'], 'https://kairos.example/fhir/CodeSystem/audit-event'),
      ('job', 'E', array['http://dicom.nema.org/resources/ontology/DCM|', '110100', 'http://dicom.nema.org/resources/ontology/DCM|110100'], array['https://kairos.example/fhir/CodeSystem/audit-event|', 'job', 'https://kairos.example/fhir/CodeSystem/audit-event|job'], 'https://kairos.example/fhir/CodeSystem/audit-event')`);

    // The months ahead. Where rows have come before their month, they stay where they are.
    this.addSql(`create function "audit_month"("at" timestamptz) returns boolean language plpgsql security definer set search_path = pg_catalog, public as $$
      declare
        first timestamptz := date_trunc('month', at, 'UTC');
        next timestamptz := date_trunc('month', at, 'UTC') + interval '1 month';
        part text := 'audit_log_' || to_char(first at time zone 'UTC', 'YYYY_MM');
      begin
        if to_regclass(format('public.%I', part)) is not null then return false; end if;
        execute format('create table public.%I partition of public.audit_log for values from (%L) to (%L)', part, first, next);
        perform public.audit_protect();
        return true;
      exception when check_violation or duplicate_table then return false;
      end $$`);

    // Rows are added and read; nobody but the owner of the tables may do more.
    this.addSql(`create function "audit_protect"() returns void language plpgsql security definer set search_path = pg_catalog, public as $$
      declare found record;
      begin
        for found in
          select distinct c.oid::regclass::text as part, r.rolname as role
          from pg_class c, aclexplode(c.relacl) a join pg_roles r on r.oid = a.grantee
          where c.relnamespace = 'public'::regnamespace and c.relname ~ '^audit_' and c.relkind in ('r', 'p', 'v')
            and r.oid <> c.relowner and a.privilege_type in ('UPDATE', 'DELETE', 'TRUNCATE')
        loop
          execute format('revoke update, delete, truncate on %s from %I', found.part, found.role);
        end loop;
      end $$`);

    const forms = (system: string, code: string): string =>
      `array['${system}|', ${code}, '${system}|' || ${code}]`;
    const named = (system: string, code: string): string => forms(system, `'${code}'`);
    const identified = (param: string, system: string, value: string): string =>
      `array['${param}' || e'\\x1f${system}|', '${param}' || e'\\x1f' || ${value}, '${param}' || e'\\x1f${system}|' || ${value}]`;
    const own = 'https://kairos.example/fhir/NamingSystem';
    const when = (condition: string, then: string): string => `case when ${condition} then ${then} else '{}' end`;
    const entityType = 'http://terminology.hl7.org/CodeSystem/audit-entity-type';
    const role = 'http://terminology.hl7.org/CodeSystem/object-role';
    // Besides the patient whom it is about.
    const data = 'cardinality(a.entities) > a.about::integer';
    const columns: Readonly<Record<string, string>> = {
      _profile: 'null::text[]',
      _security: 'null::text[]',
      _source: 'null::text',
      _tag: 'null::text[]',
      action: 'k.action',
      address: `e'\\x1f' || case when a.address is null then '' else lower(a.address) || e'\\x1f' end || e'kairos\\x1f'`,
      agent: `case when a.person is null then '{}' else array[a.person] end`,
      agent_name: `e'\\x1f' || lower(coalesce(a.client, a.actor, 'unknown')) || e'\\x1fkairos\\x1f'`,
      agent_role: 'audit_roles(a.roles)',
      altid: `case when a.account is not null then array[a.account, '|' || a.account] end`,
      date: 'a.recorded',
      entity: 'a.entities',
      entity_name: 'null::text',
      entity_role: `nullif(${when('a.about', named(role, '1'))} || ${when(data, named(role, '4'))} || ${when('a.query is not null', named(role, '24'))}, '{}')`,
      entity_type: `nullif(${when('a.about', named(entityType, '1'))} || ${when(`${data} or a.query is not null`, named(entityType, '2'))}
        || ${when('a.request is not null', named('https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType', 'xrequestid'))}, '{}')`,
      outcome: 'a.outcome::text',
      patient: 'a.patients',
      policy: 'null::text[]',
      site: 'null::text[]',
      source: `''::text`,
      subtype: `k.subtype || case when k.detail_system is not null and a.detail is not null
        then array[k.detail_system || '|', lower(a.detail), k.detail_system || '|' || lower(a.detail)] else '{}' end`,
      type: 'k.type',
      reference_identifier: `${identified('agent', `${own}/server`, "'kairos'")} || ${identified('source', `${own}/server`, "'kairos'")}
        || ${when('a.client is not null', identified('agent', `${own}/client`, 'a.client'))}
        || ${when('a.account is not null', identified('agent', `${own}/account`, 'a.account'))}
        || ${when(`a.account is not null and starts_with(a.person, 'Patient/')`, identified('patient', `${own}/account`, 'a.account'))}
        || ${when('a.request is not null', `array[e'entity\\x1f' || a.request, e'entity\\x1f|' || a.request]`)}`,
    };
    this.addSql(`create function "audit_roles"("roles" text[]) returns text[] language sql immutable parallel safe as $$
      select array_agg(f) from unnest(roles) r, unnest(array['${own.replace('NamingSystem', 'CodeSystem')}/account-role|', r, '${own.replace('NamingSystem', 'CodeSystem')}/account-role|' || r]) f $$`);
    this.addSql(`create view "audit_event" with (security_invoker = true) as select
      a.id, 1 as version, a.recorded as last_updated, 'POST' as method,
      json_build_array(a.recorded, a.kind, a.outcome, a.actor, a.person, a.account, a.roles, a.client, a.address, case when a.about then a.patients[1] end, a.entities, a.detail, a.request, a.query)::text as content,
      ${Object.entries(columns)
        .map(([name, expression]) => `${expression} as "${name}"`)
        .join(',\n      ')}
      from audit_log a join audit_kind k on k.kind = a.kind`);

    this.addSql(`select audit_month(now()), audit_month(now() + interval '1 month'), audit_month(now() + interval '2 months')`);
    this.addSql(`select audit_protect()`);
  }
}
