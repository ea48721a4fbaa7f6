/** What a request says of the browser that sent it. */
export interface Browser {
  /** Network of the client (`clientAddress`). */
  readonly source: string;
  readonly cookieHeader: string | undefined;
  readonly userAgent: string | undefined;
}
