/** The part of paho-mqtt that the tests use; the package brings no types. */
declare module "paho-mqtt" {
  export interface Failure {
    readonly errorCode: number;
    readonly errorMessage: string;
  }
  export interface Callbacks {
    readonly onSuccess?: () => void;
    readonly onFailure?: (failure: Failure) => void;
  }
  export interface ConnectOptions extends Callbacks {
    readonly cleanSession?: boolean;
    readonly keepAliveInterval?: number;
    readonly willMessage?: Message;
    readonly mqttVersion?: 3 | 4;
    readonly mqttVersionExplicit?: boolean;
    readonly timeout?: number;
  }
  export class Message {
    constructor(payload: string | ArrayBuffer);
    destinationName: string;
    qos: number;
    retained: boolean;
    readonly payloadString: string;
  }
  export class Client {
    constructor(url: string, clientId: string);
    constructor(host: string, port: number, path: string, clientId: string);
    onMessageArrived: (message: Message) => void;
    onMessageDelivered: (message: Message) => void;
    onConnectionLost: (failure: Failure) => void;
    connect(options: ConnectOptions): void;
    subscribe(filter: string, options: Callbacks & { qos?: number }): void;
    unsubscribe(filter: string, options: Callbacks): void;
    send(message: Message): void;
    isConnected(): boolean;
    disconnect(): void;
  }
}
