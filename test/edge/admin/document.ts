/** The OpenAPI document of the administration. */
import { Broker } from "./broker.ts";

export interface ObjectSchema {
  readonly properties: Readonly<Record<string, { readonly items?: ObjectSchema }>>;
}

export interface DocumentedOperation {
  readonly summary: string;
  readonly description: string;
  readonly security: readonly object[];
  readonly parameters?: readonly { readonly in: string; readonly name: string }[];
  readonly requestBody?: {
    readonly content: { readonly "application/json": { readonly schema: ObjectSchema } };
  };
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema: unknown }>> }>
  >;
}

/** By method and path below the namespace, such as "GET /users"; the document is there for everybody. */
export async function documentedOperations(): Promise<ReadonlyMap<string, DocumentedOperation>> {
  const { json } = await new Broker().ask("GET", "/openapi.json", { token: "" });
  const paths = json["paths"] as Record<string, Record<string, DocumentedOperation>>;
  return new Map(
    Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]): [string, DocumentedOperation] => [
        `${method.toUpperCase()} ${path.replace("/namespaces/{namespace}", "")}`,
        operation,
      ]),
    ),
  );
}
