import { problem } from "../../problem.ts";

/** Ends a request of the administration with that answer. */
export class ProblemError extends Error {
  readonly response: Response;

  constructor(response: Response) {
    super(`status ${response.status}`);
    this.response = response;
  }
}

export function failure(status: number, title: string, detail: string): ProblemError {
  return new ProblemError(problem(status, title, detail));
}

export function wrongCursor(): ProblemError {
  return failure(400, "Bad request", "cursor: must be as the page before says");
}

export function nothingThere(detail: string): ProblemError {
  return failure(404, "Not found", detail);
}
