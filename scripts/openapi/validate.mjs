// Validates an OpenAPI document by its official schema and the specification's further rules.
import SwaggerParser from "@apidevtools/swagger-parser";

const document = await SwaggerParser.validate(process.argv[2]);
console.log(`valid ${document.openapi}`);
