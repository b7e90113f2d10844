// A certified OpenID provider for `tests/it/browser_oidc.rs`, with a page on which a person says
// who it is. Says {"issuer"} as JSON when it listens.
// Clients: desk (secret, RS256), lean (public, ES256). People: whoever is typed; `unverified...` has
// no verified address; `deny` does not consent.
// Environment: POSTROOM_NODE_MODULES, CLAIMS (token: they stand in the ID token, as with most
// providers; userinfo: they are told only when asked).
import { createRequire } from 'node:module';
import { generateKeyPairSync } from 'node:crypto';
import { pathToFileURL } from 'node:url';
import http from 'node:http';

const require = createRequire(process.env.POSTROOM_NODE_MODULES + '/here.js');
const { Provider } = await import(pathToFileURL(require.resolve('oidc-provider')).href);

const key = (type, options, alg) => ({
  ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), kid: alg, use: 'sig', alg,
});
const redirect_uris = ['http://127.0.0.1/sign-in/oidc/callback'];
const client = more => ({ application_type: 'native', redirect_uris, grant_types: ['authorization_code'], ...more });

let handler;
const server = http.createServer((request, response) => handler(request, response));
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      client({ client_id: 'desk', client_secret: 'a + secret/%', id_token_signed_response_alg: 'RS256' }),
      client({ client_id: 'lean', token_endpoint_auth_method: 'none', id_token_signed_response_alg: 'ES256' }),
    ],
    jwks: { keys: [key('rsa', { modulusLength: 2048 }, 'RS256'), key('ec', { namedCurve: 'P-256' }, 'ES256')] },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['preferred_username'] },
    scopes: ['openid', 'email', 'profile'],
    conformIdTokenClaims: process.env.CLAIMS === 'userinfo',
    features: { devInteractions: { enabled: false } },
    pkce: { required: () => true },
    cookies: { keys: ['test'] },
    findAccount: async (ctx, id) => ({
      accountId: id,
      claims: async () => ({
        sub: id, email: id, email_verified: !id.startsWith('unverified'), preferred_username: id.split('@')[0],
      }),
    }),
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  });
  provider.use(async (ctx, next) => {
    if (!ctx.path.startsWith('/interaction/')) return next();
    const { params, prompt, session } = await provider.interactionDetails(ctx.req, ctx.res);
    if (prompt.name === 'login' && ctx.method !== 'POST') {
      ctx.type = 'html';
      ctx.body = '<!doctype html><title>Provider</title><form method=post><input name=who autofocus><button>Go</button></form>';
      return;
    }
    let result;
    if (prompt.name === 'login') {
      let body = '';
      for await (const chunk of ctx.req) body += chunk;
      const who = new URLSearchParams(body).get('who');
      result = who === 'deny' ? { error: 'access_denied' } : { login: { accountId: who, remember: false } };
    } else {
      const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
      grant.addOIDCScope(params.scope);
      result = { consent: { grantId: await grant.save() } };
    }
    ctx.respond = false;
    await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: true });
  });
  provider.on('server_error', (ctx, error) => console.error(error));
  handler = provider.callback();
  process.stdout.write(JSON.stringify({ issuer }) + '\n');
});
process.stdin.on('end', () => process.exit(0)).resume();
