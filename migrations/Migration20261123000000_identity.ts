import { Migration } from '@mikro-orm/migrations';

/**
 * Identity: accounts and their factors, sessions, the authorization server's state, launches, mail. What identifies a person is sealed (`*_sealed`)
 * or a keyed tag (`*_tag`); secrets that are only compared are stored as SHA-256 (`*_hash`).
 */
export class Migration20261123000000_identity extends Migration {
  override up(): void {
    this.addSql(`create table "auth_account" (
      "id" text collate "C" primary key,
      "email_tag" text collate "C" not null unique,
      "email_sealed" text not null,
      "name_sealed" text not null,
      "password_hash" text,
      "roles" text[] collate "C" not null default '{}',
      "staff_kinds" text[] collate "C" not null default '{}',
      "status" text not null check ("status" in ('active', 'disabled')),
      "locale" text not null default 'en',
      "webauthn_user_id" text not null unique,
      "mfa_exempt" boolean not null default false,
      "password_changed_at" timestamptz,
      "created_at" timestamptz not null default now(),
      "last_login_at" timestamptz,
      check ("roles" <@ array['patient', 'physician', 'staff', 'admin', 'privacy-officer']),
      check ("staff_kinds" <@ array['front-desk', 'billing']))`);
    this.addSql(`create table "auth_profile" (
      "account_id" text collate "C" not null references "auth_account" on delete cascade,
      "reference" text collate "C" not null check ("reference" ~ '^(Patient|Practitioner|RelatedPerson)/[A-Za-z0-9.-]{1,64}$'),
      "linked_by" text not null,
      "created_at" timestamptz not null default now(),
      primary key ("account_id", "reference"))`);
    this.addSql(`create index on "auth_profile" ("reference")`);
    this.addSql(`create table "auth_totp" (
      "account_id" text collate "C" primary key references "auth_account" on delete cascade,
      "secret_sealed" text not null,
      "last_step" bigint not null default 0,
      "confirmed_at" timestamptz,
      "created_at" timestamptz not null default now())`);
    this.addSql(`create table "auth_passkey" (
      "id" text collate "C" primary key,
      "account_id" text collate "C" not null references "auth_account" on delete cascade,
      "public_key" bytea not null,
      "counter" bigint not null,
      "transports" text[] not null default '{}',
      "label_sealed" text not null,
      "user_verified" boolean not null,
      "backed_up" boolean not null,
      "created_at" timestamptz not null default now(),
      "last_used_at" timestamptz)`);
    this.addSql(`create index on "auth_passkey" ("account_id")`);
    this.addSql(`create table "auth_recovery_code" (
      "account_id" text collate "C" not null references "auth_account" on delete cascade,
      "code_hash" text collate "C" not null,
      "used_at" timestamptz,
      primary key ("account_id", "code_hash"))`);
    this.addSql(`create table "auth_ticket" (
      "hash" text collate "C" primary key,
      "kind" text not null,
      "account_id" text collate "C" references "auth_account" on delete cascade,
      "payload_sealed" text,
      "expires_at" timestamptz not null,
      "used_at" timestamptz,
      "created_at" timestamptz not null default now())`);
    this.addSql(`create index on "auth_ticket" ("expires_at")`);
    this.addSql(`create index on "auth_ticket" ("account_id", "kind")`);
    this.addSql(`create index on "auth_ticket" ("created_at", "hash") where "kind" in ('invitation', 'patient-code') and "used_at" is null`);
    this.addSql(`create table "auth_session" (
      "uid" text collate "C" primary key,
      "id_hash" text collate "C" not null unique,
      "account_id" text collate "C" not null references "auth_account" on delete cascade,
      "created_at" timestamptz not null default now(),
      "last_seen_at" timestamptz not null default now(),
      "idle_seconds" int not null,
      "expires_at" timestamptz not null,
      "auth_time" timestamptz not null,
      "step_up_at" timestamptz,
      "amr" text[] not null default '{}',
      "device" text not null,
      "ended_at" timestamptz)`);
    this.addSql(`create index on "auth_session" ("account_id") where "ended_at" is null`);
    this.addSql(`create table "auth_attempt" (
      "key" text collate "C" primary key,
      "times" timestamptz[] not null default '{}',
      "began_at" timestamptz,
      "count" int not null default 0,
      "earlier" int not null default 0,
      "expires_at" timestamptz not null)`);
    this.addSql(`create index on "auth_attempt" ("expires_at")`);
    this.addSql(`create table "auth_known_device" (
      "account_id" text collate "C" not null references "auth_account" on delete cascade,
      "hash" text collate "C" not null,
      "expires_at" timestamptz not null,
      primary key ("account_id", "hash"))`);
    this.addSql(`create table "auth_upstream" (
      "issuer" text not null,
      "subject_tag" text collate "C" not null,
      "account_id" text collate "C" not null references "auth_account" on delete cascade,
      "created_at" timestamptz not null default now(),
      primary key ("issuer", "subject_tag"))`);
    this.addSql(`create table "auth_flow" (
      "hash" text collate "C" primary key,
      "kind" text not null,
      "payload_sealed" text not null,
      "expires_at" timestamptz not null)`);
    this.addSql(`create table "auth_oidc" (
      "model" text collate "C" not null,
      "id_hash" text collate "C" not null,
      "payload" jsonb not null,
      "grant_id" text collate "C",
      "uid" text collate "C",
      "account_id" text collate "C",
      "client_id" text collate "C",
      "consumed_at" timestamptz,
      "last_used_at" timestamptz,
      "expires_at" timestamptz,
      primary key ("model", "id_hash"))`);
    this.addSql(`create index on "auth_oidc" ("grant_id") where "grant_id" is not null`);
    this.addSql(`create index on "auth_oidc" ("uid") where "uid" is not null`);
    this.addSql(`create index on "auth_oidc" ("account_id") where "account_id" is not null`);
    this.addSql(`create index on "auth_oidc" ("expires_at")`);
    this.addSql(`create table "auth_smart_context" (
      "grant_id" text collate "C" primary key,
      "account_id" text collate "C" not null references "auth_account" on delete cascade,
      "client_id" text collate "C" not null,
      "session_uid" text collate "C",
      "context" jsonb not null,
      "created_at" timestamptz not null default now())`);
    this.addSql(`create index on "auth_smart_context" ("account_id")`);
    this.addSql(`create index on "auth_smart_context" ("session_uid") where "session_uid" is not null`);
    this.addSql(`create table "auth_launch" (
      "hash" text collate "C" primary key,
      "client_id" text collate "C" not null,
      "account_id" text collate "C" not null references "auth_account" on delete cascade,
      "context" jsonb not null,
      "expires_at" timestamptz not null,
      "used_at" timestamptz)`);
    this.addSql(`create table "auth_client" (
      "client_id" text collate "C" primary key,
      "metadata" jsonb not null,
      "secret_sealed" text,
      "kind" text not null check ("kind" in ('app', 'backend', 'bulk', 'bootstrap')),
      "created_by" text not null,
      "created_at" timestamptz not null default now(),
      "updated_at" timestamptz not null default now(),
      "disabled_at" timestamptz)`);
    this.addSql(`create table "auth_signing_key" (
      "kid" text collate "C" primary key,
      "private_sealed" text not null,
      "public_jwk" jsonb not null,
      "created_at" timestamptz not null default now(),
      "signs_from" timestamptz not null,
      "retired_at" timestamptz)`);
    this.addSql(`create table "auth_ehr_connection" (
      "id" text collate "C" primary key,
      "session_uid" text collate "C" not null references "auth_session" on delete cascade,
      "issuer" text not null,
      "tokens_sealed" text not null,
      "context_sealed" text not null,
      "expires_at" timestamptz,
      "refreshing_until" timestamptz,
      "created_at" timestamptz not null default now())`);
    this.addSql(`create index on "auth_ehr_connection" ("session_uid")`);
    // However a connection ends (sign-out, sweep of sessions, deletion of the account), what it was given by the EHR is given back.
    this.addSql(`create table "auth_ehr_revocation" (
      "id" text collate "C" primary key,
      "issuer" text not null,
      "tokens_sealed" text not null,
      "created_at" timestamptz not null default now())`);
    this.addSql(`create function "auth_ehr_revoke"() returns trigger language plpgsql as $$
      begin
        insert into "auth_ehr_revocation" ("id", "issuer", "tokens_sealed") values (old."id", old."issuer", old."tokens_sealed")
          on conflict do nothing;
        insert into "outbox" ("topic", "payload") values ('revoke-ehr-tokens', jsonb_build_object('id', old."id"));
        return null;
      end $$`);
    this.addSql(`create trigger "revoke" after delete on "auth_ehr_connection" for each row execute function "auth_ehr_revoke"()`);
    this.addSql(`create table "mail_message" (
      "id" text collate "C" primary key,
      "kind" text not null,
      "to_sealed" text not null,
      "content_sealed" text not null,
      "created_at" timestamptz not null default now(),
      "attempts" int not null default 0,
      "leased_until" timestamptz,
      "sent_at" timestamptz)`);
    this.addSql(`create index on "mail_message" ("created_at")`);
    this.addSql(`create index on "mail_message" ("created_at") where "sent_at" is null`);

    // Every change that may end or narrow what a token may do raises the revision: processes drop what they remember of tokens.
    this.addSql(`create sequence "auth_revision"`);
    this.addSql(`create function "auth_revise"() returns trigger language plpgsql as $$
      begin
        perform nextval('auth_revision');
        perform pg_notify('auth_revision', '');
        return null;
      end $$`);
    for (const [table, events] of [
      ['auth_account', 'update of "roles", "staff_kinds", "status", "password_hash" or delete'],
      ['auth_profile', 'insert or update or delete'],
      ['auth_client', 'update or delete'],
      ['auth_smart_context', 'update or delete'],
      ['auth_session', 'update of "ended_at", "expires_at" or delete'],
      // Who is related to whom decides for which patients a token is good.
      ['related_person', 'update or delete'],
    ] as const) {
      this.addSql(
        `create trigger "revise" after ${events} on "${table}" for each statement execute function "auth_revise"()`,
      );
    }
    // Of the provider's rows only ended grants and access tokens matter; the sweep of expired rows does not.
    this.addSql(`create function "auth_revise_oidc"() returns trigger language plpgsql as $$
      begin
        if exists (select from "gone" where "model" in ('Grant', 'AccessToken', 'ClientCredentials') and ("expires_at" is null or "expires_at" > now())) then
          perform nextval('auth_revision');
          perform pg_notify('auth_revision', '');
        end if;
        return null;
      end $$`);
    this.addSql(`create trigger "revise" after delete on "auth_oidc" referencing old table as "gone"
      for each statement execute function "auth_revise_oidc"()`);
  }
}
