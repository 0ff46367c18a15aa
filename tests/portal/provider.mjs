// A certified OpenID provider (npm oidc-provider) with its own sign-in pages; any name and password will do.
import Provider from 'oidc-provider';

const [port, client, redirect] = process.argv.slice(2);
const provider = new Provider(`http://localhost:${port}`, {
  clients: [{
    client_id: client, redirect_uris: [redirect], token_endpoint_auth_method: 'none',
    id_token_signed_response_alg: 'RS256', grant_types: ['authorization_code'], response_types: ['code'],
  }],
  pkce: { required: () => true },
});
provider.listen(Number(port), '127.0.0.1', () => console.log('ready'));
