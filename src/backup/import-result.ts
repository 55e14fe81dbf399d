/** What has become of the records of an import, as the broker answers. */
export interface ImportResult {
  retained: number;
  sessions: number;
  /** Of these sessions. */
  messages: number;
  unchanged: number;
  expired: number;
  refused: number;
  readonly refusals: { readonly line: number; readonly what: string; readonly reason: string }[];
}
