/** Kinds of settings, as texts of variables. */
import { z } from "zod";

/** A setting that cannot be used; the message names it, and never holds its value: it may be a secret. */
export class ConfigError extends Error {}

export function wholeNumber(min: number, max: number, standard: number) {
  const error = `must be a whole number from ${min} to ${max}`;
  return z
    .string()
    .regex(/^\d{1,10}$/, { error })
    .transform(Number)
    .refine((value) => value >= min && value <= max, { error })
    .default(standard);
}

export function oneOf<const Name extends string>(names: readonly Name[]) {
  return z.enum(names, { error: `must be one of ${names.join(", ")}` });
}

export function choice(standard: boolean) {
  return z
    .enum(["true", "false"], { error: 'must be "true" or "false"' })
    .transform((value) => value === "true")
    .default(standard);
}

/** A setting that holds JSON. */
export function json(error: string) {
  return z.string({ error }).transform((text, context): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      context.addIssue(error);
      return z.NEVER;
    }
  });
}
