"""SignalR hubs: who may connect, and what each hub says and hears."""
