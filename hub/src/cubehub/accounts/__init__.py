"""The accounts service: moves and suspends people in Keycloak, and lets what runs follow."""
